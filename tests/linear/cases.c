// Input of n parts for every parser: many of each thing that it can hold, alike and different, known and unknown, short
// and long; see cases.h.
#include "tests/linear/cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void put(qins_buffer *input, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    qins_buffer_append(input, text, strlen(text));
}

// n of them between two texts. Of the format's two numbers the first tells one from another.
static void list(qins_buffer *input, size_t n, const char *before, const char *format, const char *after) {
    put(input, "%s", before);
    for (int i = 0; i < (int)n; i++) {
        char text[1024];
        if (i > 0) put(input, ",");
        snprintf(text, sizeof text, format, i, i);
        put(input, "%s", text);
    }
    put(input, "%s", after);
}

#define LIST(name, before, format, after)                                                                              \
    static void name(qins_buffer *input, size_t n) {                                                                   \
        list(input, n, before, format, after);                                                                         \
    }
#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// --- .qins ---

LIST(unknown_members, "", "\"unknown%d\":%d", ",")
LIST(array_of_arrays, "\"x\":[", "[%d,[%d]]", "],")
LIST(long_names, "", "\"" LONG LONG "%d\":%d", ",")
LIST(sources, "", "{\"name\":\"a%d\",\"bytes\":%d,\"hash\":\"0123456789abcdef\"}", ",")

static void long_text(qins_buffer *input, size_t n) {
    put(input, "\"x\":\"");
    for (size_t i = 0; i < n; i++) put(input, "\\n\\u0041" LONG);
    put(input, "\",");
}

// --- tokenizer.json ---

#define TOKENIZER                                                                                                      \
    "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"},"                         \
    "\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},\"content\":\" \"},"
#define BPE "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{"

LIST(tokens, TOKENIZER BPE, "\"t%d\":%d", "}}}")
LIST(long_tokens, TOKENIZER BPE, "\"" LONG LONG LONG "%d\":%d", "}}}")
LIST(same_tokens, TOKENIZER BPE, "\"same\":%d", "}}}")
LIST(unknown_in_root, TOKENIZER, "\"u%d\":%d", "}")
LIST(added_tokens, TOKENIZER "\"added_tokens\":[", "{\"content\":\"a%d\",\"id\":%d,\"special\":true}", "]," BPE "}}}")
LIST(normalized_tokens, TOKENIZER "\"added_tokens\":[", "{\"content\":\" %d\",\"id\":%d,\"normalized\":true}",
     "]," BPE "}}}")
LIST(long_added_tokens, TOKENIZER "\"added_tokens\":[", "{\"content\":\"" LONG LONG LONG "%d\",\"id\":%d}",
     "]," BPE "}}}")
LIST(same_added_tokens, TOKENIZER "\"added_tokens\":[", "{\"content\":\"same\",\"id\":%d}", "]," BPE "}}}")
LIST(repeated_added_tokens, TOKENIZER "\"added_tokens\":[", "{\"content\":\"same\",\"id\":0}", "]," BPE "}}}")
LIST(repeated_merges, TOKENIZER "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[", "\"a a\"",
     "]}}")
LIST(unknown_of_model, TOKENIZER "\"model\":{\"merges\":[],\"vocab\":{\"a\":0},", "\"u%d\":%d", "}}")
LIST(unknown_of_added, TOKENIZER BPE "}},\"added_tokens\":[{\"content\":\"a\",\"id\":0,", "\"u%d\":%d", "}]}")
LIST(repeated_in_root, TOKENIZER, "\"padding\":null", "," BPE "\"a\":0}}}")
LIST(repeated_in_model, TOKENIZER "\"model\":{\"merges\":[],\"vocab\":{\"a\":0},", "\"dropout\":null", "}}")
LIST(repeated_in_step, "{\"decoder\":{\"type\":\"Strip\",", "\"start\":%d", "}," BPE "\"a\":0}}}")
LIST(items_of_template,
     TOKENIZER "\"post_processor\":{\"type\":\"TemplateProcessing\",\"special_tokens\":{},\"single\":[",
     "{\"SpecialToken\":{\"id\":\"s%d\"}}", "]}," BPE "\"a\":0}}}")
LIST(tokens_of_template,
     TOKENIZER BPE
     "\"a\":0}},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}}],"
     "\"special_tokens\":{",
     "\"s%d\":{\"id\":\"s\",\"ids\":[%d]}", "}}}")
LIST(decoders, "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[", "{\"type\":\"Fuse\"}", "]}," BPE "\"a\":0}}}")

// Pieces a, aa, aaa, ..., and the merges of each with a.
static void merges(qins_buffer *input, size_t n) {
    put(input, TOKENIZER "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0");
    for (size_t i = 1; i < n; i++) put(input, ",\"b%zu\":%zu,\"b%zua\":%zu", i, 2 * i - 1, i, 2 * i);
    put(input, "},\"merges\":[");
    for (size_t i = 1; i < n; i++) put(input, "%s\"b%zu a\"", i == 1 ? "" : ",", i);
    put(input, "]}}");
}

// --- a checkpoint's folder ---

LIST(null_keys_of_rope, "\"rope_scaling\":{", "\"k%d\":null", "},")
LIST(unknown_keys_of_rope, "\"rope_scaling\":{", "\"k%d\":%d", "},")
LIST(architectures, "\"model_type\":\"x\",\"architectures\":[", "\"A%d\"", "],")
LIST(quantization, "\"quantization_config\":{", "\"load_in_%d\":false", "},")
LIST(stop_ids, "{\"eos_token_id\":[", "%d", "]}")
LIST(same_stop_ids, "{\"eos_token_id\":[", "1", "]}")
LIST(unknown_of_generation, "{", "\"k%d\":%d", "}")
LIST(same_of_generation, "{", "\"k\":%d", "}")
LIST(templates, "{\"chat_template\":[", "{\"name\":\"n%d\",\"template\":\"{{ 1 }}\"}", "]}")
LIST(unknown_of_chat, "{\"chat_template\":\"{{ bos_token }}\",", "\"k%d\":%d", "}")
LIST(decoder_tokens, "{\"added_tokens_decoder\":{", "\"%d\":{\"content\":\"c%d\",\"rstrip\":true}", "}}")
LIST(repeated_decoder_tokens, "{\"added_tokens_decoder\":{", "\"%d\":{\"content\":\"c\"}", "}}")
LIST(long_decoder_tokens, "{\"added_tokens_decoder\":{", "\"%d\":{\"content\":\"" LONG LONG LONG "%d\"}", "}}")
LIST(extra_tokens, "{\"extra_special_tokens\":[", "\"<x%d>\"", "]}")
LIST(named_tokens, "{", "\"x%d_token\":\"<x%d>\"", "}")
LIST(named_objects, "{", "\"x%d_token\":{\"content\":\"</s>\",\"lstrip\":true}", "}")
LIST(shards, "{\"weight_map\":{", "\"t%d\":\"f%d\"", "}}")
LIST(one_shard, "{\"weight_map\":{", "\"t%d\":\"model-00001-of-00001.safetensors\"", "}}")
LIST(strange_tensors, "{", "\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "}")
LIST(layers_of_tensors, "{", "\"model.layers.%d.x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "}")
LIST(same_tensors, "{", "\"model.layers.0.x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "}")
LIST(wrapped_tensors, "{",
     "\"module.module.module.module.t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", "}")
LIST(unknown_of_tensor, "{\"t\":{", "\"k%d\":%d", ",\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}")
LIST(metadata, "{\"__metadata__\":{", "\"k%d\":\"v%d\"", "}}")
LIST(patterns, "{\"peft_type\":\"LORA\",\"r\":4,\"rank_pattern\":{", "\"name%d\":%d", "}}")
LIST(expressions, "{\"peft_type\":\"LORA\",\"r\":4,\"rank_pattern\":{", "\"(q|k)_proj[0-9]{1,32}\\\\.%d\":%d", "}}")
LIST(unknown_of_adapter, "{\"peft_type\":\"LORA\",\"r\":4,", "\"k%d\":%d", "}")

#define REPEAT(name, before, text, after)                                                                              \
    static void name(qins_buffer *input, size_t n) {                                                                   \
        put(input, "%s", before);                                                                                      \
        for (size_t i = 0; i < n; i++) put(input, "%s", text);                                                         \
        put(input, "%s", after);                                                                                       \
    }
REPEAT(plain_template, "", LONG "\n", "")
REPEAT(printing_template, "", "{{ 'a' + \"b\" }}", "")
REPEAT(growing_template, "{% set x = '' %}", "{% set x = x + 'a' %}", "{{ x }}")
REPEAT(nested_template, "{{ ", "(", "")
REPEAT(long_operators, "{{ 1", " + 1", " }}")
REPEAT(looping_template, "{% for m in messages %}", "{% if m.role == 'user' %}a{% endif %}", "{% endfor %}")

// --- input from users and clients ---

#define HELLO "{\"role\":\"user\",\"content\":\"Hello\"}"

LIST(messages, "{\"messages\":[", HELLO, "]}")
LIST(parts, "{\"messages\":[{\"role\":\"user\",\"content\":[", "{\"type\":\"text\",\"text\":\"a%d\"}", "]}]}")
LIST(unknown_fields, "{\"messages\":[" HELLO "],", "\"k%d\":%d", "}")
LIST(biases, "{\"messages\":[" HELLO "],\"logit_bias\":{", "\"%d\":1", "}}")
LIST(turns, "[", "{\"role\":\"user\",\"content\":\"%d\"},{\"role\":\"assistant\",\"content\":\"%d\"}", "]")
LIST(unknown_of_turn, "[{\"role\":\"user\",\"content\":\"x\",", "\"k%d\":%d", "}]")
LIST(stops, "{\"messages\":[" HELLO "],\"stop\":[", "\"s%d\"", "]}")
LIST(metadata_of_request, "{\"messages\":[" HELLO "],\"metadata\":{", "\"k%d\":\"v\"", "}}")
REPEAT(questions, "", "{\"question\":\"Why?\",\"choices\":[\"a\",\"b\"],\"answer\":1}\n", "")
LIST(unknown_of_question, "{\"question\":\"Why?\",\"choices\":[\"a\",\"b\"],\"answer\":1,", "\"k%d\":%d", "}\n")
REPEAT(ids, "", "12345 ", "")
REPEAT(blanks, "", "   \n", "7")
REPEAT(same_options, "", "-n\n5\n", "")
REPEAT(files, "", "-f\nname\n", "")
REPEAT(nearly_marker, "", "00000000", "")
REPEAT(spaces, "", "        ", "")
REPEAT(words, "", "the cat sat on <|en ", "")

const linear_case linear_cases[] = {
    {"header: unknown members", unknown_members, read_header, 0},
    {"header: unknown members of config", unknown_members, read_header_config, 0},
    {"header: arrays in arrays", array_of_arrays, read_header, 0},
    {"header: long names", long_names, read_header, 0},
    {"header: unknown members of a tensor", unknown_members, read_header_tensor, 0},
    {"header: sources", sources, read_header_sources, 500},
    {"header: too many sources", sources, read_header_sources, 0},
    {"header: a long text", long_text, read_header, 0},
    {"tokenizer: tokens", tokens, read_tokenizer, 0},
    {"tokenizer: long tokens", long_tokens, read_tokenizer, 0},
    {"tokenizer: the same token", same_tokens, read_tokenizer, 0},
    {"tokenizer: merges", merges, read_tokenizer, 0},
    {"tokenizer: unknown members", unknown_in_root, read_tokenizer, 0},
    {"tokenizer: unknown members of the model", unknown_of_model, read_tokenizer, 0},
    {"tokenizer: unknown members of an added token", unknown_of_added, read_tokenizer, 0},
    {"tokenizer: a member that is repeated", repeated_in_root, read_tokenizer, 0},
    {"tokenizer: a member of the model that is repeated", repeated_in_model, read_tokenizer, 0},
    {"tokenizer: a member of a step that is repeated", repeated_in_step, read_tokenizer, 0},
    {"tokenizer: added tokens", added_tokens, read_tokenizer, 0},
    {"tokenizer: normalized added tokens", normalized_tokens, read_tokenizer, 0},
    {"tokenizer: long added tokens", long_added_tokens, read_tokenizer, 0},
    {"tokenizer: the same added token", same_added_tokens, read_tokenizer, 0},
    {"tokenizer: an added token that is repeated", repeated_added_tokens, read_tokenizer, 0},
    {"tokenizer: a merge that is repeated", repeated_merges, read_tokenizer, 0},
    {"tokenizer: items of a template", items_of_template, read_tokenizer, 0},
    {"tokenizer: tokens of a template", tokens_of_template, read_tokenizer, 0},
    {"tokenizer: decoders", decoders, read_tokenizer, 0},
    {"config: unknown members", unknown_members, read_config, 0},
    {"config: null keys of the rotation", null_keys_of_rope, read_config, 0},
    {"config: unknown keys of the rotation", unknown_keys_of_rope, read_config, 0},
    {"config: architectures", architectures, read_config, 0},
    {"config: quantization", quantization, read_config, 0},
    {"generation_config: stop ids", stop_ids, read_generation, 0},
    {"generation_config: the same stop id", same_stop_ids, read_generation, 0},
    {"generation_config: unknown members", unknown_of_generation, read_generation, 0},
    {"generation_config: the same member", same_of_generation, read_generation, 0},
    {"tokenizer_config: templates", templates, read_chat_config, 0},
    {"tokenizer_config: unknown members", unknown_of_chat, read_chat_config, 0},
    {"tokenizer_config: added tokens", decoder_tokens, read_chat_config, 0},
    {"tokenizer_config: the same added token", repeated_decoder_tokens, read_chat_config, 0},
    {"tokenizer_config: long added tokens", long_decoder_tokens, read_chat_config, 0},
    {"tokenizer_config: extra special tokens", extra_tokens, read_chat_config, 0},
    {"tokenizer_config: named special tokens", named_tokens, read_chat_config, 0},
    {"tokenizer_config: the same special token", named_objects, read_chat_config, 0},
    {"template: text", plain_template, read_template, 0},
    {"template: expressions", printing_template, read_template, 0},
    {"template: a text that grows", growing_template, read_template, 0},
    {"template: nested", nested_template, read_template, 0},
    {"template: operators", long_operators, read_template, 0},
    {"template: conditions in a loop", looping_template, read_template, 0},
    {"index: files that are missing", shards, read_index, 0},
    {"index: one file", one_shard, read_index, 0},
    {"safetensors: foreign tensors", strange_tensors, read_safetensors, 0},
    {"safetensors: tensors of layers", layers_of_tensors, read_safetensors, 0},
    {"safetensors: the same tensor", same_tensors, read_safetensors, 0},
    {"safetensors: wrapped names", wrapped_tensors, read_safetensors, 0},
    {"safetensors: unknown members", unknown_of_tensor, read_safetensors, 0},
    {"safetensors: metadata", metadata, read_safetensors, 0},
    {"adapter_config: patterns", patterns, read_adapter, 2000},
    {"adapter_config: expressions", expressions, read_adapter, 30},
    {"adapter_config: unknown members", unknown_of_adapter, read_adapter, 0},
    {"conversation: turns", turns, read_conversation, 2000},
    {"conversation: unknown members", unknown_of_turn, read_conversation, 0},
    {"request: messages", messages, read_body, 2000},
    {"request: parts of a message", parts, read_body, 0},
    {"request: unknown fields", unknown_fields, read_body, 0},
    {"request: biases", biases, read_body, 0},
    {"request: stops", stops, read_body, 0},
    {"request: metadata", metadata_of_request, read_body, 0},
    {"task: questions", questions, read_task, 0},
    {"task: unknown members", unknown_of_question, read_task, 0},
    {"ids", ids, read_ids, 0},
    {"ids: white space", blanks, read_ids, 0},
    {"command line: the same option", same_options, read_arguments, 0},
    {"command line: files", files, read_arguments, 0},
    {"prompt: nearly an added token", nearly_marker, encode_text, 0},
    {"prompt: spaces", spaces, encode_text, 0},
    {"prompt: words", words, encode_text, 0},
};
const size_t n_linear_cases = sizeof linear_cases / sizeof *linear_cases;

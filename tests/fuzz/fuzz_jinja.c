// libFuzzer target: the input is a chat template. Rendering it gives a text or an error, within the interpreter's
// limits, and so does recognizing it. Built by `make fuzz`.
#include "convert/chat_recognize.h"

#include <stdlib.h>
#include <string.h>

static void require(bool condition) {
    if (!condition) abort();
}

static void render(const char *text, size_t size) {
    static const qins_jinja_text texts[] = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
    const qins_message messages[] = {{"system", "S", 1}, {"user", " a\n", 3}, {"assistant", "", 0}};
    const qins_jinja_input input = {messages, 3, size % 2 == 0, texts, 2};
    qins_jinja_result result;
    qins_error error = {0};
    const qins_status status = qins_jinja_render(text, size, &input, &result, &error);
    require((status == QINS_OK) == (result.text != NULL));
    require(status == QINS_OK ? !result.raised && result.text[result.size] == '\0' : status == QINS_BAD_MODEL);
    free(result.text);
}

static void recognize(const char *text, size_t size) {
    static const qins_jinja_text texts[] = {{"bos_token", "<s>"}};
    qins_recognized result;
    qins_error error = {0};
    require(qins_chat_recognize(text, size, texts, 1, &result, &error) == QINS_OK);
    require(result.chat.format == NULL || result.reason[0] == '\0');
    qins_recognized_free(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size); // without a NUL
    if (text == NULL) return 0;
    if (size > 0) memcpy(text, data, size);
    render(text, size);
    recognize(text, size);
    free(text);
    return 0;
}

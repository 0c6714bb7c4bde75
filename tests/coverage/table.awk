# Reads what `gcov -b -n` says of every source; prints lines and branches that were executed, per folder and per parser,
# as a Markdown table. Exit code 1 where less was executed than is asked for: 90 % of all lines, and for each parser 95 %
# of the lines and 90 % of the branches.
BEGIN {
    parsers = "engine/base/json.c engine/format/config.c engine/format/header.c engine/format/image.c " \
              "engine/server/request_fields.c engine/server/request.c convert/hf_config.c convert/lora_config.c " \
              "convert/lora_pattern.c convert/jinja_expression.c convert/jinja_lexer.c convert/jinja_parser.c " \
              "convert/safetensors.c tokenizer/hf_config_tokens.c tokenizer/hf_merges.c tokenizer/hf_tokenizer.c " \
              "tokenizer/hf_vocabulary.c tokenizer/pack.c"
    n = split(parsers, list, " ")
    for (i = 1; i <= n; i++) is_parser[list[i]] = 1
}
function add(name) {
    if (!(name in lines)) order[++n_rows] = name
    lines[name] += n_lines
    lines_hit[name] += n_lines * lines_percent / 100
    branches[name] += n_branches
    branches_hit[name] += n_branches * branches_percent / 100
}
function percent(part, whole) { return whole == 0 ? 100 : 100 * part / whole }
function flush_file() {
    if (file !~ /^(engine|tokenizer|convert)\/.*\.c$/) return
    add("all"); add(substr(file, 1, match(file, /\/[^\/]*$/)))
    if (file in is_parser) add(file)
}
# "Lines executed:95.00% of 100"
function read_percent() { split($0, part, /[:%]| of /); return part[2] }
/^File / {
    flush_file()
    file = $2
    gsub(/'/, "", file)
    n_lines = n_branches = lines_percent = branches_percent = 0
}
/^Lines executed:/ && n_lines == 0 { n_lines = $NF; lines_percent = read_percent() } # at the end comes a sum over all
/^Taken at least once:/ { n_branches = $NF; branches_percent = read_percent() }
END {
    flush_file()
    print "| part | lines | executed | branches | taken |\n| --- | ---: | ---: | ---: | ---: |"
    for (i = 1; i <= n_rows; i++) {
        name = order[i]
        l = percent(lines_hit[name], lines[name]); b = percent(branches_hit[name], branches[name])
        low = name in is_parser ? l < 95 || b < 90 : name == "all" && l < 90
        failed = failed || low
        printf "| %s | %d | %.1f %% | %d | %.1f %% |%s\n", name, lines[name], l, branches[name], b, low ? " too low" : "" | "LC_ALL=C sort"
    }
    close("LC_ALL=C sort")
    exit n_rows == 0 || failed
}

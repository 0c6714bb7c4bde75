// Files that are passed instead of a model are identified.
#include "engine/base/recognize.h"
#include "tests/support.h"

#include <string.h>
#include <unistd.h>

static qins_status recognize(const char *start, qins_error *error) {
    return qins_recognize_file("FILE", start, strlen(start), error);
}

Test(recognize, files) {
    qins_error error = {0};
    recognize("", &error);
    expect_error(&error, QINS_BAD_MODEL, "FILE is empty");
    recognize("version https://git-lfs.github.com/spec/v1\noid", &error);
    expect_error(&error, QINS_BAD_MODEL, "FILE is a git-lfs pointer");
    recognize("\xEF\xBB\xBF\n <!DOCTYPE HTML>", &error);
    expect_error(&error, QINS_BAD_MODEL, "FILE is a web page");
    recognize("GGUF\3", &error);
    expect_error(&error, QINS_BAD_MODEL, "FILE is a GGUF file");
    recognize("PK\3\4\24", &error);
    expect_error(&error, QINS_BAD_MODEL, "FILE is a zip archive");
    recognize("GGU", &error);
    recognize("QINS\r\n\x1a\n", &error);
    recognize("{\"a\": 1}", &error);
    expect_ok(&error);
}

static const char *const hub_names[] = {"microsoft/Phi-3.5-mini-instruct",
                                        "https://huggingface.co/microsoft/Phi-3.5-mini-instruct",
                                        "hf.co/microsoft/Phi-3.5-mini-instruct"};

Test(recognize, names_of_the_hub) {
    qins_error error = {0};
    for (size_t i = 0; i < sizeof hub_names / sizeof *hub_names; i++) {
        qins_recognize_hub_name(hub_names[i], &error);
        expect_error(&error, QINS_BAD_MODEL,
                     "\n  hf download microsoft/Phi-3.5-mini-instruct --local-dir Phi-3.5-mini-instruct");
    }
}

Test(recognize, what_may_be_a_path_is_none) {
    static const char *const paths[] = {"model.qins",   "models/phi.qins",
                                        "./owner/name", "/owner/name",
                                        "owner/name/",  "owner/name/more",
                                        "owner name/x", "/",
                                        "owner/",       ""};
    qins_error error = {0};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) qins_recognize_hub_name(paths[i], &error);
    char *folder = temporary_folder();
    cr_assert_eq(chdir(folder), 0);
    write_file(".", "there", "x", 1);
    qins_recognize_hub_name("there/x", &error); // ENOTDIR
    expect_ok(&error);
    remove_folder(folder);
}

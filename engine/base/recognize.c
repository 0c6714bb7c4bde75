// Recognizing files that are not our models; see recognize.h.
#include "engine/base/recognize.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

// Beginnings of files, case ignored, and the kinds of file that they identify.
static const struct kind {
    const char *start, *what;
} kinds[] = {
    {"version https://git-lfs.github.com/spec/",
     "is a git-lfs pointer, not the file itself; run \"git lfs pull\" in the folder"},
    {"<!doctype html", "is a web page, not the file itself (a failed download?); download it again"},
    {"<html", "is a web page, not the file itself (a failed download?); download it again"},
    {"<head", "is a web page, not the file itself (a failed download?); download it again"},
    {"<?xml", "is a web page, not the file itself (a failed download?); download it again"},
    {"GGUF", "is a GGUF file of llama.cpp, which is not read; convert the model's Hugging Face folder instead "
             "(qinsconvert HF_DIR -o model.qins)"},
    {"PK\3\4", "is a zip archive (the format of PyTorch's weights); only safetensors are read"},
    {"\x80\2", "is a Python pickle (the format of PyTorch's older weights); only safetensors are read"},
};

qins_status qins_recognize_file(const char *path, const char *start, size_t size, qins_error *error) {
    if (size == 0) return qins_fail(error, QINS_BAD_MODEL, "%s is empty; download it again", path);
    while (size > 0 && strchr(" \t\r\n\xEF\xBB\xBF", *start) != NULL && *start != '\0') start++, size--;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t length = strlen(kinds[i].start);
        if (size >= length && strncasecmp(start, kinds[i].start, length) == 0)
            return qins_fail(error, QINS_BAD_MODEL, "%s %s", path, kinds[i].what);
    }
    return QINS_OK;
}

// OWNER/NAME within an address of the site; NULL when it is not one.
static const char *hub_name(const char *path) {
    static const char *const sites[] = {"https://huggingface.co/", "huggingface.co/", "https://hf.co/", "hf.co/"};
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        if (strncmp(path, sites[i], strlen(sites[i])) != 0) continue;
        path += strlen(sites[i]);
        break;
    }
    const size_t owner = strspn(path, allowed), name = path[owner] == '/' ? strspn(path + owner + 1, allowed) : 0;
    const bool is_name = owner > 0 && name > 0 && path[0] != '.' && path[owner + 1 + name] == '\0';
    const char *end = path + owner + 1 + name;
    return is_name && (name < 5 || strcmp(end - 5, ".qins") != 0) ? path : NULL;
}

qins_status qins_recognize_hub_name(const char *path, qins_error *error) {
    struct stat info;
    const char *name = hub_name(path);
    if (name == NULL || stat(path, &info) == 0 || errno != ENOENT) return QINS_OK;
    qins_fail(
        error, QINS_BAD_MODEL,
        "there is no file or folder %s; if that is a model on Hugging Face, download it, and give its folder:", path);
    qins_error_line(error, "hf download %s --local-dir %s", name, strchr(name, '/') + 1);
    return error->status;
}

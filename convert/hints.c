// Hints about folders; see hints.h.
#define _GNU_SOURCE // strverscmp
#include "convert/hints.h"

#include "engine/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A name in a folder, by its beginning and end, and the hint that it gives. The first one found counts.
struct sign {
    const char *start, *end, *what;
};

#define ONLY_SAFETENSORS                                                                                               \
    "only safetensors are read; save the model again with save_pretrained, or download the safetensors files"

static const struct sign model_signs[] = {
    {"adapter_config.json", "",
     "this is a LoRA adapter; give its base model's folder, and this one with qinsconvert's --lora"},
    {"models--", "", "this is the cache of Hugging Face's hub; give the folder snapshots/REVISION in there"},
    {"", ".qins", "a model that is converted already; give qinsrun that file"},
    {"", ".gguf", "a GGUF file of llama.cpp, which is not read; download the model's Hugging Face folder"},
    {"model-", ".safetensors",
     "shards, but not the model.safetensors.index.json that lists them; download that as well"},
    {"pytorch_model", ".bin", ONLY_SAFETENSORS},
    {"pytorch_model", ".json", ONLY_SAFETENSORS},
    {"", ".pth", ONLY_SAFETENSORS},
    {"", ".pt", ONLY_SAFETENSORS},
    {"", ".h5", ONLY_SAFETENSORS},
    {"", ".msgpack", ONLY_SAFETENSORS},
    {"", ".onnx", ONLY_SAFETENSORS},
    {"", ".safetensors", "weights must be in model.safetensors; rename it if it is the whole model"},
};
enum { N_SIGNS = sizeof model_signs / sizeof *model_signs };

typedef struct name {
    char text[256];
} name;

static bool matches(const char *text, const struct sign *sign) {
    const size_t length = strlen(text), start = strlen(sign->start), end = strlen(sign->end);
    return length >= start + end && strncmp(text, sign->start, start) == 0 &&
           strcmp(text + length - end, sign->end) == 0;
}

// The first name in the folder, in alphabetical order, that is a sign of this.
static bool find(const char *path, const struct sign *sign, name *found) {
    DIR *folder = opendir(path);
    bool is_found = false;
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || !matches(entry->d_name, sign)) continue;
        if (is_found && strcmp(entry->d_name, found->text) >= 0) continue;
        snprintf(found->text, sizeof found->text, "%s", entry->d_name);
        is_found = true;
    }
    if (folder != NULL) closedir(folder);
    return is_found;
}

static bool has_file(const char *folder, const char *file) {
    char path[4096];
    struct stat info;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, file);
    return length > 0 && (size_t)length < sizeof path && stat(path, &info) == 0;
}

// The revision that the hub's name for it, refs/main, leads to; false when there is none.
static bool read_main(const char *path, name *revision) {
    char file[4096];
    size_t size = 0;
    qins_error ignored = {0};
    snprintf(file, sizeof file, "%s/refs/main", path);
    const int fd = qins_file_open(file, &size, QINS_BAD_MODEL, &ignored);
    if (fd < 0) return false;
    if (size > sizeof revision->text - 1) size = sizeof revision->text - 1;
    const bool is_read = qins_file_read_at(fd, file, revision->text, size, 0, &ignored) == QINS_OK;
    close(fd);
    revision->text[size] = '\0';
    revision->text[strcspn(revision->text, "\r\n/")] = '\0';
    return is_read && revision->text[0] != '\0';
}

// A model's folder in the hub's cache has its files in snapshots/REVISION.
static void check_snapshots(const char *path, qins_error *error) {
    static const struct sign any = {"", "", NULL};
    char folder[4096], chosen[4096 + sizeof(name)];
    name revision;
    struct stat info;
    snprintf(folder, sizeof folder, "%s/snapshots", path);
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode)) return;
    bool has_one = read_main(path, &revision);
    snprintf(chosen, sizeof chosen, "%s/%s", folder, has_one ? revision.text : "");
    if (!has_one || !has_file(chosen, "config.json")) has_one = find(folder, &any, &revision);
    qins_fail(error, QINS_BAD_MODEL, "%s belongs to the cache of Hugging Face's hub; give the folder in it: %s/%s",
              path, folder, has_one ? revision.text : "REVISION");
}

// The hub's cache: a model's folder in it, or the folder of all models.
static void check_cache(const char *path, qins_error *error) {
    static const struct sign model = {"models--", "", NULL};
    char other[4096];
    name found;
    check_snapshots(path, error);
    if (snprintf(other, sizeof other, "%s/hub", path) < (int)sizeof other && error->status == QINS_OK &&
        find(other, &model, &found))
        qins_fail(error, QINS_BAD_MODEL,
                  "%s holds the cache of Hugging Face's hub; give a model's folder in it: %s/%s/snapshots/REVISION",
                  path, other, found.text);
}

// A folder in it may be the one that is meant: a snapshot, or a checkpoint of a training run. The last is named, in an
// order in which checkpoint-1000 comes after checkpoint-500.
static void check_folders(const char *path, const char *file, qins_error *error) {
    char inner[4096], last[4096] = "";
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        const int length = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || length < 0 || (size_t)length >= sizeof inner || !has_file(inner, file)) continue;
        if (strverscmp(inner, last) > 0) memcpy(last, inner, sizeof last);
    }
    if (folder != NULL) closedir(folder);
    if (last[0] != '\0')
        qins_fail(error, QINS_BAD_MODEL, "%s has no %s, but a folder in it has one; give that: %s", path, file, last);
}

// Without a config.json, files of safetensors tell nothing: they may be sound.
static bool tells_of_safetensors(const struct sign *sign) {
    return strcmp(sign->end, ".safetensors") == 0;
}

static void check_signs(const char *path, const struct sign *signs, int n_signs, bool has_config, qins_error *error) {
    for (int i = 0; i < n_signs && error->status == QINS_OK; i++) {
        name found;
        if ((has_config || !tells_of_safetensors(&signs[i])) && find(path, &signs[i], &found))
            qins_fail(error, QINS_BAD_MODEL, "%s has %s: %s", path, found.text, signs[i].what);
    }
}

qins_status qins_hint_no_config(const char *path, qins_error *error) {
    check_cache(path, error);
    check_signs(path, model_signs, N_SIGNS, false, error);
    check_folders(path, "config.json", error);
    if (has_file(path, "../refs") && has_file(path, "../blobs") && has_file(path, "../snapshots"))
        qins_fail(error, QINS_BAD_MODEL,
                  "%s is a part of the cache of Hugging Face's hub; give the folder %s/../snapshots/REVISION", path,
                  path);
    return qins_fail(error, QINS_BAD_MODEL, "%s has no config.json; is it a Hugging Face model folder?", path);
}

qins_status qins_hint_no_weights(const char *path, qins_error *error) {
    check_signs(path, model_signs, N_SIGNS, true, error);
    return qins_fail(error, QINS_BAD_MODEL,
                     "%s has neither model.safetensors nor model.safetensors.index.json; download the weights into it",
                     path);
}

qins_status qins_hint_no_adapter(const char *path, qins_error *error) {
    static const struct sign signs[] = {
        {"adapter_model", ".bin", ONLY_SAFETENSORS},
        {"config.json", "", "a whole model; --lora takes an adapter's folder, which peft saves"},
    };
    check_signs(path, signs, sizeof signs / sizeof *signs, true, error);
    if (!has_file(path, "adapter_config.json")) check_folders(path, "adapter_config.json", error);
    return qins_fail(error, QINS_BAD_MODEL,
                     "%s has no adapter_config.json with an adapter_model.safetensors; is it a LoRA adapter of peft?",
                     path);
}

// Preloaded where an emulator (qemu 7) pretends large pages: its /proc/self/maps then lacks the line of the stack, in which Swift's
// library looks for the arguments of the program. This adds the line; no kernel leaves it out.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

extern char **environ;

FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    FILE *file = real(path, mode);
    if (!file || strcmp(path, "/proc/self/maps") != 0) return file;
    static char text[1 << 16];
    size_t length = fread(text, 1, sizeof text - 128, file);
    fclose(file);
    if (!memmem(text, length, "[stack]", 7)) {
        const uintptr_t size = 8 << 20, top = ((uintptr_t)environ | 0xFFFFF) + 1;
        length += (size_t)snprintf(text + length, 128, "%lx-%lx rw-p 00000000 00:00 0 [stack]\n", (unsigned long)(top - size), (unsigned long)top);
    }
    return fmemopen(text, length, "r");
}

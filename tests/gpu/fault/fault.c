// A real fault of a CUDA context, on request: preloaded into a server, it is in its workers too. While the file that
// FAULT_REQUEST names is there, the next launch of a kernel removes it and first runs `fault.cu` from FAULT_IMAGE, which writes
// where there is no memory. The driver then fails everything in that process, as it does for any kernel that goes wrong. README.md
// says how it is used. Nothing of the program is replaced: every call reaches the driver.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);

static void* (*find)(void*, const char*);
static void* driver;
static Launch launch;

static void fault(void* stream) {
    int (*load)(void**, const char*) = find(driver, "cuModuleLoad");
    int (*get)(void**, void*, const char*) = find(driver, "cuModuleGetFunction");
    void *module = NULL, *function = NULL;
    const int loaded = load(&module, getenv("FAULT_IMAGE"));
    const int found = loaded ? loaded : get(&function, module, "fault");
    const int launched = found ? found : launch(function, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL);
    fprintf(stderr, "fault: process %d: loaded %d, found %d, launched %d\n", getpid(), loaded, found, launched);
}

static int launch_or_fault(void* function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y,
                           unsigned threads_z, unsigned shared, void* stream, void** arguments, void** more) {
    const char* request = getenv("FAULT_REQUEST");
    if (request && unlink(request) == 0) fault(stream);
    return launch(function, x, y, z, threads_x, threads_y, threads_z, shared, stream, arguments, more);
}

// The program looks the driver's calls up by name.
void* dlsym(void* library, const char* name) {
    if (!find) find = (void* (*)(void*, const char*))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    void* found = find(library, name);
    if (!found || strcmp(name, "cuLaunchKernel")) return found;
    driver = library;
    launch = (Launch)found;
    return (void*)launch_or_fault;
}

// Stands in for libcuda.so: the calls that the CUDA backend makes, and the launch of kernels compiled by `nvcc` beside this.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <string>

#include "block.h"

extern "C" {
Index emulated_thread, emulated_block, emulated_grid, emulated_threads;
unsigned char* emulated_shared;
void emulated_barrier() { block.barrier(); }
void emulated_warp(int operation, void* slot) { block.warp(operation, slot); }
void emulated_copy16(uint32_t shared, const void* global, bool inside) { block.copy({shared, global, inside}); }
void emulated_commit() { block.commit(); }
void emulated_wait(int groups) { block.wait_groups(groups); }
}

using Result = int;
constexpr Result SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500;
constexpr size_t PAGE = 4096;
constexpr int WITHOUT_ASKING = 48 << 10, MOST_SHARED = 227 << 10;

struct Function {
    void (*call)(void**);
    int most_shared;
};

static std::map<uint64_t, size_t> allocations;

// With EMULATED_MEMORY, its bytes are the card's, and memory is all there is of it: nothing is computed and nothing copied.
static const char* only_memory = getenv("EMULATED_MEMORY");
static const size_t MEMORY = only_memory ? strtoull(only_memory, nullptr, 10) : size_t(8) << 30;
static size_t created;

static size_t whole_pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The handles of context, stream and pool are never looked at.
extern "C" {
Result cuInit(unsigned) { return SUCCESS; }
Result cuDriverGetVersion(int* version) { return *version = 13000, SUCCESS; }
Result cuDeviceGetCount(int* count) { return *count = 1, SUCCESS; }
Result cuDeviceGet(int* device, int) { return *device = 0, SUCCESS; }
Result cuDeviceGetName(char* name, int length, int) { return snprintf(name, length, "emulated GPU"), SUCCESS; }
Result cuDeviceGetAttribute(int* value, int attribute, int) {
    constexpr int MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76;
    *value = attribute == MULTIPROCESSORS ? 132 : attribute == MAJOR ? 9 : attribute == MINOR ? 0 : 1;
    return SUCCESS;
}
Result cuDevicePrimaryCtxRetain(void** context, int) { return *context = (void*)1, SUCCESS; }
Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
Result cuCtxSetCurrent(void*) { return SUCCESS; }
Result cuCtxGetCurrent(void** context) { return *context = (void*)1, SUCCESS; }
Result cuCtxSynchronize() { return SUCCESS; }
Result cuStreamCreate(void** stream, unsigned) { return *stream = (void*)1, SUCCESS; }
Result cuStreamDestroy_v2(void*) { return SUCCESS; }
Result cuStreamSynchronize(void*) { return SUCCESS; }
Result cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }
Result cuEventCreate(void** event, unsigned) { return *event = new double(0), SUCCESS; }
Result cuEventDestroy_v2(void* event) { return delete (double*)event, SUCCESS; }
Result cuEventRecord(void* event, void*) { return *(double*)event = seconds(), SUCCESS; }
Result cuEventSynchronize(void*) { return SUCCESS; }
Result cuEventElapsedTime_v2(float* milliseconds, void* from, void* to) {
    return *milliseconds = (*(double*)to - *(double*)from) * 1e3, SUCCESS;
}

Result cuMemGetInfo_v2(size_t* free, size_t* total) { return *total = MEMORY, *free = MEMORY - created, SUCCESS; }

// Addresses without memory are pages that must not be touched; a handle is the length of what was made.
Result cuMemGetAllocationGranularity(size_t* bytes, const void*, int) { return *bytes = 2 << 20, SUCCESS; }
Result cuMemAddressReserve(uint64_t* pointer, size_t bytes, size_t, uint64_t, unsigned long long) {
    void* start = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return OUT_OF_MEMORY;
    return *pointer = (uint64_t)start, SUCCESS;
}
Result cuMemAddressFree(uint64_t pointer, size_t bytes) { return munmap((void*)pointer, bytes) ? INVALID_VALUE : SUCCESS; }
Result cuMemCreate(unsigned long long* handle, size_t bytes, const void*, unsigned long long) {
    if (created + bytes > MEMORY) return OUT_OF_MEMORY;
    created += bytes;
    return *handle = bytes, SUCCESS;
}
Result cuMemRelease(unsigned long long handle) { return created -= handle, SUCCESS; }
Result cuMemMap(uint64_t pointer, size_t bytes, size_t, unsigned long long handle, unsigned long long) {
    if (bytes != handle) return INVALID_VALUE;
    return mprotect((void*)pointer, bytes, PROT_READ | PROT_WRITE) ? OUT_OF_MEMORY : SUCCESS;
}
Result cuMemSetAccess(uint64_t, size_t, const void*, size_t) { return SUCCESS; }
Result cuMemUnmap(uint64_t pointer, size_t bytes) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return mmap((void*)pointer, bytes, PROT_NONE, flags, -1, 0) == MAP_FAILED ? INVALID_VALUE : SUCCESS;
}
Result cuMemHostRegister_v2(void*, size_t, unsigned) { return SUCCESS; }
Result cuMemHostUnregister(void*) { return SUCCESS; }
Result cuMemAlloc_v2(uint64_t* pointer, size_t bytes) {
    return *pointer = (uint64_t)aligned_alloc(PAGE, whole_pages(bytes)), *pointer ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemFree_v2(uint64_t pointer) { return free((void*)pointer), SUCCESS; }
Result cuMemAllocAsync(uint64_t* pointer, size_t bytes, void*) {
    const size_t pages = whole_pages(bytes);
    auto* start = (unsigned char*)mmap(nullptr, pages + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect(start, PAGE, PROT_NONE);
    mprotect(start + PAGE + pages, PAGE, PROT_NONE);
    *pointer = (uint64_t)(start + PAGE + pages - bytes);
    allocations[*pointer] = bytes;
    return SUCCESS;
}
Result cuMemFreeAsync(uint64_t pointer, void*) {
    const auto found = allocations.find(pointer);
    if (found == allocations.end()) return INVALID_VALUE;
    const size_t pages = whole_pages(found->second);
    munmap((void*)(pointer + found->second - pages - PAGE), pages + 2 * PAGE);
    allocations.erase(found);
    return SUCCESS;
}
Result cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void*) {
    return memset((void*)to, value, bytes), SUCCESS;
}
Result cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
    if (!only_memory) memcpy((void*)to, from, bytes);
    return SUCCESS;
}
Result cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
    if (!only_memory) memcpy(to, (void*)from, bytes);
    return SUCCESS;
}
Result cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void*) {
    if (!only_memory) memcpy((void*)to, (void*)from, bytes);
    return SUCCESS;
}

// The image is a whole library; its section table stands last and so tells its length.
Result cuModuleLoadData(void** module, const void* image) {
    if (only_memory) return *module = (void*)1, SUCCESS;
    const auto* header = (const Elf64_Ehdr*)image;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG)) give_up("an image that `nvcc` beside this did not make");
    const size_t bytes = header->e_shoff + (size_t)header->e_shentsize * header->e_shnum;
    char path[] = "/tmp/emulated-kernel-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0 || write(file, image, bytes) != (ssize_t)bytes) give_up("an image could not be written");
    close(file);
    *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!*module) give_up(dlerror());
    return SUCCESS;
}
Result cuModuleUnload(void*) { return SUCCESS; }
Result cuModuleGetFunction(void** function, void* module, const char* name) {
    if (only_memory) return *function = new Function{nullptr, WITHOUT_ASKING}, SUCCESS;
    auto* call = (void (*)(void**))dlsym(module, (std::string(name) + "__call").c_str());
    if (!call) return NOT_FOUND;
    *function = new Function{call, WITHOUT_ASKING};
    return SUCCESS;
}
Result cuFuncSetAttribute(void* function, int, int bytes) {
    if (bytes > MOST_SHARED) return INVALID_VALUE;
    ((Function*)function)->most_shared = bytes;
    return SUCCESS;
}

// Nothing here reads a map: kernels that do are made for Hopper alone, and are launched only where nothing is computed.
Result cuTensorMapEncodeTiled(void*, int, unsigned, void*, const uint64_t*, const uint64_t*, const uint32_t*, const uint32_t*,
                              int, int, int, int) {
    return SUCCESS;
}

Result cuLaunchKernel(void* launched, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                      unsigned threads_z, unsigned shared, void*, void** arguments, void**) {
    const auto* function = (Function*)launched;
    const bool grid = x && y && z && y < 65536 && z < 65536 && threads % 32 == 0 && threads <= 1024;
    if (!grid || threads_y != 1 || threads_z != 1 || (int)shared > function->most_shared) return INVALID_VALUE;
    if (only_memory) return SUCCESS;
    static auto* memory = (unsigned char*)aligned_alloc(1024, 256 << 10);
    emulated_shared = memory;
    emulated_grid = {x, y, z};
    emulated_threads = {threads, 1, 1};
    for (unsigned k = 0; k < z; ++k)
        for (unsigned j = 0; j < y; ++j)
            for (unsigned i = 0; i < x; ++i) {
                emulated_block = {i, j, k};
                block.run(threads, shared, function->call, arguments);
            }
    return SUCCESS;
}
}

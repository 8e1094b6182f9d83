// One block of threads as coroutines: each runs until it must wait for the others, in the order of their numbers.
#pragma once
#include <sys/mman.h>

#include <vector>

#include "warp.h"

struct Copy {
    uint32_t to;
    const void* from;
    bool inside;
};

struct Thread {
    void* stack_pointer;
    unsigned number;
    bool done = false, at_barrier = false, in_warp = false;
    int operation = 0;
    void* slot = nullptr;
    std::vector<Copy> copies;                 // not committed
    std::vector<std::vector<Copy>> groups;    // committed, oldest first
};

// Saves the callee's registers on the stack, keeps the stack in *from and goes on with `to`.
extern "C" void switch_stack(void** from, void* to);
asm(R"(
.globl switch_stack
switch_stack:
    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
    ret
)");

class Block {
public:
    void run(unsigned count, size_t bytes, void (*call)(void**), void** call_arguments) {
        constexpr size_t STACK = 64 << 10;
        static auto* stacks = (unsigned char*)mmap(nullptr, STACK * 1024, PROT_READ | PROT_WRITE,
                                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        kernel = call, arguments = call_arguments, shared_bytes = bytes;
        memset(emulated_shared, 0xff, bytes);
        threads.assign(count, Thread{});
        for (unsigned i = 0; i < count; ++i) {
            auto** top = (void**)(stacks + STACK * (i + 1) - 64);
            *--top = nullptr;
            *--top = (void*)begin;
            for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
            threads[i].stack_pointer = top;
            threads[i].number = i;
        }
        for (bool any = true; any;) {
            any = false;
            bool moved = false;
            for (auto& thread : threads) {
                if (thread.done) continue;
                any = true;
                if (thread.at_barrier || thread.in_warp) continue;
                moved = true;
                current = &thread;
                emulated_thread = {thread.number, 0, 0};
                switch_stack(&scheduler, thread.stack_pointer);
                if (thread.done) open_barrier();
            }
            if (any && !moved) give_up("threads wait for one another for ever");
        }
    }

    void barrier() {
        current->at_barrier = true;
        open_barrier();
        Thread* self = current;
        while (self->at_barrier) wait();
    }

    void warp(int operation, void* slot) {
        Thread* self = current;
        self->operation = operation, self->slot = slot, self->in_warp = true;
        Thread* lanes = &threads[self->number & ~31u];
        bool all = true;
        for (int i = 0; i < 32; ++i) {
            if (lanes[i].done) give_up("a warp operation after a lane has returned");
            all = all && lanes[i].in_warp;
        }
        if (all) {
            void* slots[32];
            for (int i = 0; i < 32; ++i) {
                if (lanes[i].operation != operation) give_up("lanes at different operations");
                slots[i] = lanes[i].slot;
            }
            warp_operation(operation, slots, shared_bytes);
            for (int i = 0; i < 32; ++i) lanes[i].in_warp = false;
        }
        while (self->in_warp) wait();
    }

    void copy(Copy copy) {
        if (copy.to % 16 || copy.to + 16 > shared_bytes) give_up("cp.async to a bad address");
        if (copy.inside && (uintptr_t)copy.from % 16) give_up("cp.async from an address that is not a multiple of 16");
        memset(emulated_shared + copy.to, 0xff, 16);
        current->copies.push_back(copy);
    }

    void commit() {
        current->groups.push_back(std::move(current->copies));
        current->copies.clear();
    }

    // Copies arrive here and not before: whoever reads earlier finds NaN.
    void wait_groups(size_t left) {
        auto& groups = current->groups;
        while (groups.size() > left) {
            for (const Copy& copy : groups.front()) {
                if (copy.inside) memcpy(emulated_shared + copy.to, copy.from, 16);
                else memset(emulated_shared + copy.to, 0, 16);
            }
            groups.erase(groups.begin());
        }
    }

private:
    static void begin();

    void wait() { switch_stack(&current->stack_pointer, scheduler); }

    void open_barrier() {
        for (const auto& thread : threads)
            if (!thread.done && !thread.at_barrier) return;
        for (auto& thread : threads) thread.at_barrier = false;
    }

    std::vector<Thread> threads;
    Thread* current = nullptr;
    void* scheduler = nullptr;
    void (*kernel)(void**) = nullptr;
    void** arguments = nullptr;
    size_t shared_bytes = 0;
};

inline Block block;

inline void Block::begin() {
    block.kernel(block.arguments);
    block.current->done = true;
    for (;;) block.wait();
}

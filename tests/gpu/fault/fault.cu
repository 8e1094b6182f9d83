// Writes where there is no memory.
extern "C" __global__ void fault() { *(volatile int*)16 = 1; }

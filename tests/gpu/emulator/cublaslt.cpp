// Stands in for libcublasLt.so: `d = epilogue(alpha·aᵒᵖ·b + beta·c + bias)`, column-major, with vectors of scales.
#include <cstdlib>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

enum Type { F32 = 0, BF16 = 14, E4M3 = 28 };
enum Epilogue { BIAS = 4, GELU = 32 };
constexpr int SUCCESS = 0, INVALID_VALUE = 7;

struct Description {
    int transpose_a = 0;
    uint32_t epilogue = 1;
    uint64_t bias = 0, a_scale = 0, b_scale = 0;
    int bias_type = F32;
};

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
    int batches = 1;
    int64_t stride = 0;
};

static float read(int type, uint64_t base, int64_t at) {
    if (type == F32) return ((float*)base)[at];
    if (type == BF16) {
        const uint32_t bits = (uint32_t)((uint16_t*)base)[at] << 16;
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }
    const uint8_t bits = ((uint8_t*)base)[at];
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    if (exponent == 15 && mantissa == 7) return NAN;
    const float size = exponent ? ldexpf(1 + mantissa / 8.0f, exponent - 7) : ldexpf(mantissa, -9);
    return bits & 128 ? -size : size;
}

static void write(int type, uint64_t base, int64_t at, float value) {
    if (type == F32) {
        ((float*)base)[at] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    ((uint16_t*)base)[at] = value != value ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static float gelu(float x) { return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x))); }

// Eight sums at once: a compiler may not reorder one.
static float dot(const float* a, const float* b, int64_t count) {
    float sums[8] = {}, total = 0;
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int j = 0; j < 8; ++j) sums[j] += a[i + j] * b[i + j];
    for (; i < count; ++i) total += a[i] * b[i];
    for (float sum : sums) total += sum;
    return total;
}

extern "C" {
int cublasLtCreate(void** handle) { return *handle = (void*)1, SUCCESS; }
int cublasLtDestroy(void*) { return SUCCESS; }
int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    return *layout = new Layout{type, rows, columns, leading}, SUCCESS;
}
int cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, SUCCESS; }
int cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value, size_t) {
    constexpr int BATCH_COUNT = 5, BATCH_STRIDE = 6;
    if (attribute == BATCH_COUNT) layout->batches = *(int*)value;
    else if (attribute == BATCH_STRIDE) layout->stride = *(int64_t*)value;
    else return INVALID_VALUE;
    return SUCCESS;
}
int cublasLtMatmulDescCreate(Description** description, int, int) { return *description = new Description, SUCCESS; }
int cublasLtMatmulDescDestroy(Description* description) { return delete description, SUCCESS; }
int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const void* value, size_t) {
    switch (attribute) {
    case 3: description->transpose_a = *(int*)value; break;
    case 7: description->epilogue = *(uint32_t*)value; break;
    case 8: description->bias = *(uint64_t*)value; break;
    case 17: description->a_scale = *(uint64_t*)value; break;
    case 18: description->b_scale = *(uint64_t*)value; break;
    case 26: description->bias_type = *(int*)value; break;
    case 25: case 31: case 32: break;   // fast sums, and that scales are vectors
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}
int cublasLtMatmulPreferenceCreate(void** preference) { return *preference = (void*)1, SUCCESS; }
int cublasLtMatmulPreferenceDestroy(void*) { return SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void*, int, const void*, size_t) { return SUCCESS; }

int cublasLtMatmulAlgoGetHeuristic(void*, Description* description, Layout* a, Layout* b, Layout*, Layout* d, void*, int,
                                   void* result, int* count) {
    constexpr size_t RESULT_BYTES = 76;   // algorithm, workspace, state
    const bool t = description->transpose_a;
    const uint64_t rows = t ? a->columns : a->rows, depth = t ? a->rows : a->columns;
    const bool fits = rows == d->rows && depth == b->rows && b->columns == d->columns;
    if (!fits || a->leading < (int64_t)a->rows || b->leading < (int64_t)b->rows || d->leading < (int64_t)d->rows)
        return INVALID_VALUE;
    memset(result, 0, RESULT_BYTES);
    return *count = 1, SUCCESS;
}

int cublasLtMatmul(void*, Description* description, const float* alpha, uint64_t a_base, Layout* a, uint64_t b_base,
                   Layout* b, const float* beta, uint64_t c_base, Layout* c, uint64_t d_base, Layout* d, const void*, void*,
                   size_t, void*) {
    static const bool only_memory = getenv("EMULATED_MEMORY");
    if (only_memory) return SUCCESS;
    const int64_t rows = d->rows, columns = d->columns, depth = b->rows;
    std::vector<float> left(rows * depth), right(columns * depth);
    for (int batch = 0; batch < d->batches; ++batch) {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t k = 0; k < depth; ++k)
                left[i * depth + k] = read(a->type, a_base,
                                           batch * a->stride + (description->transpose_a ? i * a->leading + k : k * a->leading + i));
        for (int64_t j = 0; j < columns; ++j)
            for (int64_t k = 0; k < depth; ++k)
                right[j * depth + k] = read(b->type, b_base, batch * b->stride + j * b->leading + k);
        for (int64_t j = 0; j < columns; ++j) {
            for (int64_t i = 0; i < rows; ++i) {
                float value = *alpha * dot(&left[i * depth], &right[j * depth], depth);
                if (description->a_scale)
                    value *= ((float*)description->a_scale)[i] * ((float*)description->b_scale)[j];
                if (*beta != 0) value += *beta * read(c->type, c_base, batch * c->stride + j * c->leading + i);
                if (description->epilogue & BIAS) value += read(description->bias_type, description->bias, i);
                if (description->epilogue & GELU) value = gelu(value);
                write(d->type, d_base, batch * d->stride + j * d->leading + i, value);
            }
        }
    }
    return SUCCESS;
}
}

// What all files of this folder share; it is put before each. So is `typedef float real;`, or double: both are compiled.
//
// Blocks have 256 threads. Three layouts serve all kernels:
//   elements   thread i takes the elements i, i + (all threads), … of arrays that lie alike in memory
//   rows       a warp of 32 threads, threadIdx.x, for each row; 8 rows a block, threadIdx.y
//   columns    32 columns a block, threadIdx.x; 8 threads, threadIdx.y, go down each of them

#define ELEMENTS(i, n) for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += gridDim.x * blockDim.x)
#define ROW (blockIdx.x * 8 + threadIdx.y)
#define COLUMN (blockIdx.x * 32 + threadIdx.x)

// Σ a over the 32 threads of a warp; each of them gets it.
__device__ __forceinline__ real warp_sum(real a) {
    for (int step = 16; step > 0; step /= 2) a += __shfl_xor_sync(0xffffffffu, a, step);
    return a;
}

__device__ __forceinline__ real warp_max(real a) {
    for (int step = 16; step > 0; step /= 2) {
        real b = __shfl_xor_sync(0xffffffffu, a, step);
        a = b > a ? b : a;
    }
    return a;
}

// Σ a over the 8 threads of a column, always in the same order; each of them gets it. All threads of the block must call.
__device__ __forceinline__ double column_sum(double a) {
    __shared__ double part[8][32];
    __syncthreads();  // someone may still be reading what was summed before
    part[threadIdx.y][threadIdx.x] = a;
    __syncthreads();
    double sum = 0;
    for (int k = 0; k < 8; ++k) sum += part[k][threadIdx.x];
    return sum;
}

__device__ __forceinline__ real minus_infinity() { return (real)__int_as_float(0xff800000); }
__device__ __forceinline__ real sigmoid(real x) { return (real)1 / ((real)1 + exp(-x)); }

// y[id] += Σ of the rows of x (n, width) that have this id, without atomics: the sum is the same in every run.
// threadIdx.x: columns, threadIdx.y: rows.

// Σ over the threads of a column; the first of them gets it
__device__ __forceinline__ real lanes_sum(real sum) {
    __shared__ real part[256];
    part[threadIdx.y * blockDim.x + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0)
        for (int i = 1; i < blockDim.y; ++i) sum += part[i * blockDim.x + threadIdx.x];
    return sum;
}

// For few places: block (…, id) looks through all ids (n) for its own.
extern "C" __global__ void find_rows(const long long* ids, const real* x, real* y, int n, int width) {
    int id = blockIdx.y, c = blockIdx.x * blockDim.x + threadIdx.x;
    real sum = 0;
    for (int i = threadIdx.y; i < n; i += blockDim.y)
        if (ids[i] == id && c < width) sum += x[(size_t)i * width + c];
    sum = lanes_sum(sum);
    if (c < width && threadIdx.y == 0) y[(size_t)id * width + c] += sum;
}

// For many: ids (n) are sorted, and order[k] is the row of x that ids[k] belongs to. Block (k, …) does nothing unless a
// new id begins at k; else its threads add up the id's rows.
extern "C" __global__ void add_rows(const long long* ids, const long long* order, const real* x, real* y, int n,
                                    int width) {
    int k = blockIdx.x, c = blockIdx.y * blockDim.x + threadIdx.x;
    long long id = ids[k];
    if (k && ids[k - 1] == id) return;  // the whole block
    real sum = 0;
    if (c < width)
        for (int i = k + threadIdx.y; i < n && ids[i] == id; i += blockDim.y) sum += x[order[i] * width + c];
    sum = lanes_sum(sum);
    if (c < width && threadIdx.y == 0) y[id * width + c] += sum;
}

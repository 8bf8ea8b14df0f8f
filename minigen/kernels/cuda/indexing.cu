// y[id] += Σ of the rows of x that have this id, without atomics: the sum is the same in every run.
//
// ids (n) are sorted, and order[k] is the row of x (n, width) that ids[k] belongs to. Block k of the grid does nothing
// unless a new id begins at k; else its threads add up the id's rows. threadIdx.x: columns, threadIdx.y: rows.

extern "C" __global__ void add_rows(const long long* ids, const long long* order, const real* x, real* y, int n,
                                    int width) {
    __shared__ real part[256];
    int k = blockIdx.x, c = blockIdx.y * blockDim.x + threadIdx.x;
    long long id = ids[k];
    if (k && ids[k - 1] == id) return;  // the whole block
    real sum = 0;
    if (c < width)
        for (int i = k + threadIdx.y; i < n && ids[i] == id; i += blockDim.y) sum += x[order[i] * width + c];
    part[threadIdx.y * blockDim.x + threadIdx.x] = sum;
    __syncthreads();
    if (c < width && threadIdx.y == 0) {
        for (int i = 1; i < blockDim.y; ++i) sum += part[i * blockDim.x + threadIdx.x];
        y[id * width + c] += sum;
    }
}

// The softmax of attention and its gradient, in place, between products of matrices. Layout: rows.

// s ← softmax(scale · s) over the keys that a query may look at, 0 on the others and where it may look at none.
// s (heads · T, U); with `causal` query i of a head sees the keys j ≤ i + U − T; mask (heads · T, U) or null.
extern "C" __global__ void softmax(real* s, const bool* mask, int rows, int T, int U, int causal, double scale) {
    int row = ROW;
    if (row >= rows) return;
    real* p = s + (size_t)row * U;
    const bool* seen = mask + (size_t)row * U;
    int end = causal ? min(row % T + U - T + 1, U) : U;
    real m = minus_infinity(), sum = 0;
    for (int j = threadIdx.x; j < U; j += 32) {
        p[j] = j < end && (!mask || seen[j]) ? p[j] * (real)scale : minus_infinity();
        m = p[j] > m ? p[j] : m;
    }
    m = warp_max(m);
    if (m == minus_infinity()) m = 0;
    for (int j = threadIdx.x; j < U; j += 32) sum += p[j] = exp(p[j] - m);
    sum = warp_sum(sum);
    if (sum == 0) sum = 1;
    for (int j = threadIdx.x; j < U; j += 32) p[j] /= sum;
}

// d ← scale · p (d − Σ_keys p d),   d being ∂L/∂P
extern "C" __global__ void softmax_gradient(real* d, const real* p, int rows, int U, double scale) {
    int row = ROW;
    if (row >= rows) return;
    d += (size_t)row * U;
    p += (size_t)row * U;
    real sum = 0;
    for (int j = threadIdx.x; j < U; j += 32) sum += p[j] * d[j];
    sum = warp_sum(sum);
    for (int j = threadIdx.x; j < U; j += 32) d[j] = (real)scale * p[j] * (d[j] - sum);
}

// The gate of (leaky) ReLU, GELU, the gated unit of WaveNet. Layout: elements.

extern "C" __global__ void gate(const real* x, const real* g, double a, real* y, int n) {
    ELEMENTS(i, n) y[i] = x[i] > 0 ? g[i] : (real)a * g[i];
}

// Φ(x) = ½ (1 + erf(x/√2)) = ½ erfc(−x/√2), which keeps its digits where it is small
__device__ __forceinline__ real cdf(real x) { return (real)0.5 * erfc(-x * (real)0.70710678118654752440); }

extern "C" __global__ void gelu(const real* x, real* y, int n) {
    ELEMENTS(i, n) y[i] = x[i] * cdf(x[i]);
}

// ∂L/∂x = g (Φ(x) + x φ(x)),   φ(x) = e^(−x²/2) / √(2π)
extern "C" __global__ void gelu_gradient(const real* g, const real* x, real* dx, int n) {
    ELEMENTS(i, n) {
        real density = (real)0.39894228040143267794 * exp((real)-0.5 * x[i] * x[i]);
        dx[i] = g[i] * (cdf(x[i]) + x[i] * density);
    }
}

// z = tanh(f) σ(u), where (f | u) = a_t + c, of element i of z (N, T, C); f stands at `at` of a (N, T, 2 C)
#define GATED_UNIT(i, time, channels)                                                            \
    int place = (i) % (channels), at = (i) / (channels) * 2 * (channels) + place;                \
    const real* condition = c + (i) / (time) / (channels) * 2 * (channels) + place;              \
    real filtered = tanh(a[at] + condition[0]), open = sigmoid(a[at + (channels)] + condition[channels])

extern "C" __global__ void gated(const real* a, const real* c, real* z, int n, int time, int channels) {
    ELEMENTS(i, n) {
        GATED_UNIT(i, time, channels);
        z[i] = filtered * open;
    }
}

// ∂L/∂f = g σ(u) (1 − tanh² f),   ∂L/∂u = g tanh f σ(u) (1 − σ(u))
extern "C" __global__ void gated_gradient(const real* g, const real* a, const real* c, real* da, int n, int time,
                                          int channels) {
    ELEMENTS(i, n) {
        GATED_UNIT(i, time, channels);
        da[at] = g[i] * open * (1 - filtered * filtered);
        da[at + channels] = g[i] * filtered * open * (1 - open);
    }
}

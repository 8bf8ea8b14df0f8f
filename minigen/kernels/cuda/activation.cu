// The gate of (leaky) ReLU, GELU. Layout: elements.

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

// One step of Adam for many parameters in one launch: block row (…, k) works on the k-th.
// Layout: elements of each parameter. The table travels with the launch: nothing is copied to the device before it.

#define TABLE 56  // as in optimizer.py: a launch's arguments may have 4096 bytes

struct Parameter {
    real *p, *m, *v;
    const real* g;
    long long size;
    double rate, root, decay;  // η / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ), 1 − η λ
};

struct Table {
    Parameter of[TABLE];
};

// m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   p ← (1 − η λ) p − η m̂ / (√v̂ + ε)
extern "C" __global__ void adam_steps(Table table, double beta1, double beta2, double eps) {
    Parameter q = table.of[blockIdx.y];
    real b1 = beta1, c1 = 1 - beta1, b2 = beta2, c2 = 1 - beta2;
    ELEMENTS(i, q.size) {
        real g = q.g[i];
        real m = q.m[i] = b1 * q.m[i] + c1 * g;
        real v = q.v[i] = b2 * q.v[i] + c2 * (g * g);
        q.p[i] = (real)q.decay * q.p[i] - (real)q.rate * m / (sqrt(v) * (real)q.root + (real)eps);
    }
}

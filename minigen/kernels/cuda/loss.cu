// Losses from logits, and their gradients.

// L = softplus(l) − t l,   ∂L/∂l = σ(l) − t,   from one e = e^(−|l|). Layout: elements.
extern "C" __global__ void bce_with_logits(const real* logits, const real* targets, real* loss, real* slope, int n) {
    ELEMENTS(i, n) {
        real l = logits[i], t = targets[i], e = exp(-fabs(l));
        loss[i] = (l < 0 ? 0 : l) - t * l + log1p(e);
        slope[i] = (l >= 0 ? (real)1 : e) / (1 + e) - t;
    }
}

// m = max l,   s = ln Σ e^(l − m),   L = s − (l_label − m). Layout: rows.
extern "C" __global__ void softmax_cross_entropy(const real* logits, const long long* labels, real* loss, real* largest,
                                                 real* rest, int rows, int classes) {
    int row = ROW;
    if (row >= rows) return;
    const real* l = logits + (size_t)row * classes;
    real m = minus_infinity(), sum = 0;
    for (int k = threadIdx.x; k < classes; k += 32) m = l[k] > m ? l[k] : m;
    m = warp_max(m);
    for (int k = threadIdx.x; k < classes; k += 32) sum += exp(l[k] - m);
    real s = log(warp_sum(sum));
    if (threadIdx.x == 0) {
        loss[row] = s - (l[labels[row]] - m);
        largest[row] = m;
        rest[row] = s;
    }
}

// ∂L/∂l = g (e^(l − m − s) − onehot(label)),   g one number for all rows (each = 0) or for each (1). Layout: elements.
extern "C" __global__ void softmax_cross_entropy_gradient(const real* logits, const long long* labels, const real* m,
                                                          const real* s, const real* g, int each, real* out, int n,
                                                          int classes) {
    ELEMENTS(i, n) {
        int row = i / classes, k = i % classes;
        out[i] = g[each * row] * (exp(logits[i] - m[row] - s[row]) - (real)(k == labels[row]));
    }
}

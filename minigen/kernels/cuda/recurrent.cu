// One step of a recurrent network behind its matrix product p = U h (forward), and before it (backward).
// Layout: elements, one for each example n and unit j; size = H, steps = T. Sequences are (N, T, gates · H).
//
// state (N, H), which holds h_{t−1}, becomes h_t. Backward, dh (N, H) holds what step t + 1 handed back; the gradients
// of the gates are written into the sequence da and into z, from which the next product makes dh. Where mask (N, T) is
// given and false, a step changes nothing: there z is 0, and dh keeps what came, to be added to the product.

#define STEP                                                                          \
    int n = i / size, j = i % size;                                                   \
    bool on = !mask || mask[(size_t)n * steps + t];                                   \
    size_t at = ((size_t)n * steps + t) * size + j; /* in a sequence of one number */

// -- h_t = tanh(a_t + U h_{t−1}) --------------------------------------------------------------------------------------

extern "C" __global__ void rnn(const real* a, const real* p, const bool* mask, real* state, real* h, int t, int steps,
                               int size, int total) {
    ELEMENTS(i, total) {
        STEP
        if (on) state[i] = tanh(a[at] + p[i]);
        h[at] = state[i];
    }
}

extern "C" __global__ void rnn_gradient(const real* g, const real* h, const bool* mask, real* dh, real* da, real* z,
                                        int t, int steps, int size, int total) {
    ELEMENTS(i, total) {
        STEP
        real delta = dh[i] + g[at];
        dh[i] = on ? 0 : delta;
        da[at] = z[i] = on ? delta * (1 - h[at] * h[at]) : 0;
    }
}

// -- the gated recurrent unit; gates r | z | n, and q = U_n h_{t−1} + b -------------------------------------------------

extern "C" __global__ void gru(const real* a, const real* p, const real* b, const bool* mask, real* state, real* h,
                               real* gates, real* qs, int t, int steps, int size, int total) {
    ELEMENTS(i, total) {
        STEP
        size_t wide = ((size_t)n * steps + t) * 3 * size + j;
        int row = n * 3 * size + j;
        real q = p[row + 2 * size] + b[j];
        real r = sigmoid(a[wide] + p[row]), z = sigmoid(a[wide + size] + p[row + size]);
        real fresh = tanh(a[wide + 2 * size] + r * q);
        if (on) state[i] = fresh + z * (state[i] - fresh);
        h[at] = state[i];
        qs[at] = q;
        gates[wide] = r;
        gates[wide + size] = z;
        gates[wide + 2 * size] = fresh;
    }
}

// dh keeps δ z, which goes straight to h_{t−1}
extern "C" __global__ void gru_gradient(const real* g, const real* h, const real* h0, const real* gates, const real* qs,
                                        const bool* mask, real* dh, real* da, real* dp, real* z_out, int t, int steps,
                                        int size, int total) {
    ELEMENTS(i, total) {
        STEP
        size_t wide = ((size_t)n * steps + t) * 3 * size + j;
        int row = n * 3 * size + j;
        real r = gates[wide], z = gates[wide + size], fresh = gates[wide + 2 * size];
        real before = t ? h[at - size] : h0[i];
        real all = dh[i] + g[at], delta = on ? all : 0;
        real dn = delta * (1 - z) * (1 - fresh * fresh);
        real dz = delta * (before - fresh) * z * (1 - z);
        real dr = dn * qs[at] * r * (1 - r);
        dh[i] = on ? all * z : all;
        da[wide] = dp[wide] = z_out[row] = dr;
        da[wide + size] = dp[wide + size] = z_out[row + size] = dz;
        da[wide + 2 * size] = dn;
        dp[wide + 2 * size] = z_out[row + 2 * size] = dn * r;
    }
}

// -- the long short-term memory; gates i | f | g | o -------------------------------------------------------------------

extern "C" __global__ void lstm(const real* a, const real* p, const real* c0, const bool* mask, real* state, real* h,
                                real* c, real* gates, int t, int steps, int size, int total) {
    ELEMENTS(i, total) {
        STEP
        size_t wide = ((size_t)n * steps + t) * 4 * size + j;
        int row = n * 4 * size + j;
        real in = sigmoid(a[wide] + p[row]), forget = sigmoid(a[wide + size] + p[row + size]);
        real fresh = tanh(a[wide + 2 * size] + p[row + 2 * size]), out = sigmoid(a[wide + 3 * size] + p[row + 3 * size]);
        real before = t ? c[at - size] : c0[i];
        real now = on ? forget * before + in * fresh : before;
        if (on) state[i] = out * tanh(now);
        h[at] = state[i];
        c[at] = now;
        gates[wide] = in;
        gates[wide + size] = forget;
        gates[wide + 2 * size] = fresh;
        gates[wide + 3 * size] = out;
    }
}

// dc (N, H) holds ∂L/∂c_t and becomes ∂L/∂c_{t−1}; da may be the memory of the gates
extern "C" __global__ void lstm_gradient(const real* g, const real* c, const real* c0, const real* gates,
                                         const bool* mask, real* dh, real* dc, real* da, real* z, int t, int steps,
                                         int size, int total) {
    ELEMENTS(i, total) {
        STEP
        size_t wide = ((size_t)n * steps + t) * 4 * size + j;
        int row = n * 4 * size + j;
        real in = gates[wide], forget = gates[wide + size], fresh = gates[wide + 2 * size], out = gates[wide + 3 * size];
        real squashed = tanh(c[at]), before = t ? c[at - size] : c0[i];
        real all = dh[i] + g[at], delta = on ? all : 0;
        real gamma = on ? dc[i] + delta * out * (1 - squashed * squashed) : 0;
        dh[i] = on ? 0 : all;
        if (on) dc[i] = gamma * forget;
        da[wide] = z[row] = gamma * fresh * in * (1 - in);
        da[wide + size] = z[row + size] = gamma * before * forget * (1 - forget);
        da[wide + 2 * size] = z[row + 2 * size] = gamma * in * (1 - fresh * fresh);
        da[wide + 3 * size] = z[row + 3 * size] = delta * squashed * out * (1 - out);
    }
}

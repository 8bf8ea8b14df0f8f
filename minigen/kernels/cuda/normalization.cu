// Batch and layer normalisation. Batch norm sees x as rows (M, C): channels-last memory, M = N H W.
//
// Sums down a column are taken in two steps, so that many blocks share the work without atomics: each block (…, b) sums
// `block` rows, then one block adds up what the blocks found, in float64. Both in the same order in every run.

// The mean and Σ (x − mean)² of each block's rows -> (blocks, C). Layout: columns.
extern "C" __global__ void moments(const real* x, real* means, real* m2s, int rows, int columns, int block) {
    int c = COLUMN, first = blockIdx.y * block, last = min(rows, first + block);
    double sum = 0, m2 = 0;
    if (c < columns)
        for (int i = first + threadIdx.y; i < last; i += 8) sum += x[(size_t)i * columns + c];
    real mean = column_sum(sum) / (last - first);
    if (c < columns)
        for (int i = first + threadIdx.y; i < last; i += 8) {
            real d = x[(size_t)i * columns + c] - mean;
            m2 += d * d;
        }
    m2 = column_sum(m2);
    if (c < columns && threadIdx.y == 0) {
        means[blockIdx.y * columns + c] = mean;
        m2s[blockIdx.y * columns + c] = m2;
    }
}

// The moments of all rows from those of the blocks (Chan, Golub & LeVeque 1983). Layout: columns.
extern "C" __global__ void moments_joined(const real* means, const real* m2s, real* mean, real* variance, int rows,
                                          int columns, int block) {
    int c = COLUMN, blocks = (rows + block - 1) / block;
    double sum = 0, m2 = 0;
    if (c < columns)
        for (int b = threadIdx.y; b < blocks; b += 8)
            sum += (double)means[b * columns + c] * min(block, rows - b * block);
    double centre = column_sum(sum) / rows;
    if (c < columns)
        for (int b = threadIdx.y; b < blocks; b += 8) {
            double d = means[b * columns + c] - centre;
            m2 += m2s[b * columns + c] + d * d * min(block, rows - b * block);
        }
    m2 = column_sum(m2);
    if (c < columns && threadIdx.y == 0) {
        mean[c] = centre;
        variance[c] = m2 / rows;
    }
}

// r = 1 / √(σ² + ε); the running moments, where there are any, move towards those of this batch. Layout: elements.
extern "C" __global__ void batch_scale(const real* mean, const real* variance, real* running_mean, real* running_var,
                                       double momentum, double unbiased, double eps, real* r, int columns) {
    ELEMENTS(c, columns) {
        if (running_mean) running_mean[c] += (real)momentum * (mean[c] - running_mean[c]);
        if (running_var) running_var[c] += (real)momentum * (variance[c] * (real)unbiased - running_var[c]);
        r[c] = 1 / sqrt(variance[c] + (real)eps);
    }
}

// y = (x − μ) r w + b. Layout: elements.
extern "C" __global__ void batch_norm(const real* x, const real* mean, const real* r, const real* weight,
                                      const real* bias, real* y, int n, int columns) {
    ELEMENTS(i, n) {
        int c = i % columns;
        y[i] = (x[i] - mean[c]) * (r[c] * weight[c]) + bias[c];
    }
}

// Σ g (x − μ) r and Σ g of each block's rows -> (blocks, C), μ and r of the column (batch norm: by_row = 0) or of the
// row (layer norm: 1). Layout: columns.
extern "C" __global__ void sums(const real* g, const real* x, const real* mean, const real* r, int by_row,
                                real* products, real* totals, int rows, int columns, int block) {
    int c = COLUMN, first = blockIdx.y * block, last = min(rows, first + block);
    double product = 0, total = 0;
    if (c < columns)
        for (int i = first + threadIdx.y; i < last; i += 8) {
            size_t at = (size_t)i * columns + c;
            int k = by_row ? i : c;
            product += g[at] * ((x[at] - mean[k]) * r[k]);
            total += g[at];
        }
    product = column_sum(product);
    total = column_sum(total);
    if (c < columns && threadIdx.y == 0) {
        products[blockIdx.y * columns + c] = product;
        totals[blockIdx.y * columns + c] = total;
    }
}

// ∂L/∂w and ∂L/∂b from the sums of the blocks. Layout: columns.
extern "C" __global__ void sums_joined(const real* products, const real* totals, real* dw, real* db, int blocks,
                                       int columns) {
    int c = COLUMN;
    double product = 0, total = 0;
    if (c < columns)
        for (int b = threadIdx.y; b < blocks; b += 8) {
            product += products[b * columns + c];
            total += totals[b * columns + c];
        }
    product = column_sum(product);
    total = column_sum(total);
    if (c < columns && threadIdx.y == 0) {
        dw[c] = product;
        db[c] = total;
    }
}

// ∂L/∂x = r w (g − ∂b / M − x̂ ∂w / M),   x̂ = (x − μ) r. Layout: elements.
extern "C" __global__ void batch_norm_gradient(const real* g, const real* x, const real* mean, const real* r,
                                               const real* weight, const real* dw, const real* db, real* dx, int n,
                                               int columns, int rows) {
    ELEMENTS(i, n) {
        int c = i % columns;
        real normal = (x[i] - mean[c]) * r[c];
        dx[i] = r[c] * weight[c] * (g[i] - db[c] / rows - normal * (dw[c] / rows));
    }
}

// y = w (x − μ) r + b,   μ and r = 1 / √(σ² + ε) of the row. Layout: rows.
extern "C" __global__ void layer_norm(const real* x, const real* weight, const real* bias, double eps, real* y,
                                      real* means, real* rs, int rows, int columns) {
    int row = ROW;
    if (row >= rows) return;
    x += (size_t)row * columns;
    y += (size_t)row * columns;
    real sum = 0, squares = 0;
    for (int c = threadIdx.x; c < columns; c += 32) sum += x[c];
    real mean = warp_sum(sum) / columns;
    for (int c = threadIdx.x; c < columns; c += 32) squares += (x[c] - mean) * (x[c] - mean);
    real r = 1 / sqrt(warp_sum(squares) / columns + (real)eps);
    for (int c = threadIdx.x; c < columns; c += 32) y[c] = (x[c] - mean) * r * weight[c] + bias[c];
    if (threadIdx.x == 0) {
        means[row] = mean;
        rs[row] = r;
    }
}

// ∂L/∂x = r (h − mean h − x̂ mean (h x̂)),   h = w g, means over the row. Layout: rows.
extern "C" __global__ void layer_norm_gradient(const real* g, const real* x, const real* means, const real* rs,
                                               const real* weight, real* dx, int rows, int columns) {
    int row = ROW;
    if (row >= rows) return;
    g += (size_t)row * columns;
    x += (size_t)row * columns;
    dx += (size_t)row * columns;
    real mean = means[row], r = rs[row], sum = 0, product = 0;
    for (int c = threadIdx.x; c < columns; c += 32) {
        real h = g[c] * weight[c];
        sum += h;
        product += h * ((x[c] - mean) * r);
    }
    sum = warp_sum(sum) / columns;
    product = warp_sum(product) / columns;
    for (int c = threadIdx.x; c < columns; c += 32)
        dx[c] = r * (g[c] * weight[c] - sum - (x[c] - mean) * r * product);
}

// Between images and the matrices of which a convolution is a product. Layout: elements.
//
// Letters as in kernels/reference/convolution.py: image (N, C, H, W), window kh × kw, out (Ho, Wo) positions. A column
// matrix is (G, N, Ho, Wo, kh, kw, C/G): threads side by side take channels side by side, of channels-last memory.

struct Geometry {
    int n, channels, height, width, ho, wo, kh, kw, sh, sw, dh, dw, top, left, groups;
};

// columns[g, n, i, j, k, l, c] = image[n, g c, i sh + k dh − top, j sw + l dw − left], 0 outside the image.
// The image may lie in memory in any order: sn, sc, sy, sx are the steps from one n, channel, row, column to the next.
extern "C" __global__ void im2col(const real* image, long long sn, long long sc, long long sy, long long sx,
                                  real* columns, int total, Geometry q) {
    int per_group = q.channels / q.groups;
    ELEMENTS(e, total) {
        int i = e;
        int c = i % per_group; i /= per_group;
        int l = i % q.kw; i /= q.kw;
        int k = i % q.kh; i /= q.kh;
        int x = i % q.wo * q.sw + l * q.dw - q.left; i /= q.wo;
        int y = i % q.ho * q.sh + k * q.dh - q.top; i /= q.ho;
        int n = i % q.n;
        c += i / q.n * per_group;
        bool inside = 0 <= y && y < q.height && 0 <= x && x < q.width;
        columns[e] = inside ? image[n * sn + c * sc + y * sy + x * sx] : (real)0;
    }
}

// The transpose: each element of the image (N, H, W, C) gathers what im2col copied from it, in a fixed order, so that
// nothing is added by two threads and the sum is the same in every run.
extern "C" __global__ void col2im(const real* columns, real* image, int total, Geometry q) {
    int per_group = q.channels / q.groups;
    ELEMENTS(e, total) {
        int i = e;
        int c = i % q.channels; i /= q.channels;
        int x = i % q.width + q.left; i /= q.width;
        int y = i % q.height + q.top;
        int n = i / q.height + c / per_group * q.n;
        c %= per_group;
        real sum = 0;
        for (int k = 0; k < q.kh; ++k) {
            int row = y - k * q.dh;
            if (row < 0 || row % q.sh || row / q.sh >= q.ho) continue;
            for (int l = 0; l < q.kw; ++l) {
                int column = x - l * q.dw;
                if (column < 0 || column % q.sw || column / q.sw >= q.wo) continue;
                size_t at = ((size_t)n * q.ho + row / q.sh) * q.wo + column / q.sw;
                sum += columns[((at * q.kh + k) * q.kw + l) * per_group + c];
            }
        }
        image[e] = sum;
    }
}

// Matrix products that XLA's compiled programs call: one custom-call target that hands a product of any strides to
// oneDNN, with what is done to its numbers before they are written (sums, a softmax of rows). Compiled when the engine
// starts, by the compiler inside Bun (bun:ffi's cc), hence without headers and without vector code; library.ts opens and
// registers it, stablehlo/called-products.ts writes the descriptions it reads. A call from a program cannot fail: whatever
// oneDNN refuses is computed by plain loops. Called from XLA's threads, several at once.
// Signatures: oneDNN 3 (oneapi/dnnl/dnnl.h), XLA's foreign functions 0.1 to 0.3 (xla/ffi/api/c_api.h). XLA's older custom
// calls would do, were it not for programs from its cache: there a lone result comes as a tuple, and a tuple as none.

typedef unsigned long size_t;
typedef long long dim_t;
typedef struct { int name; void *memory; } argument_t;
typedef struct { int major, minor, patch; const char *hash; unsigned processor_runtime, device_runtime; } version_t;

extern void *dlopen(const char *, int);
extern void *dlsym(void *, const char *);
extern void *calloc(size_t, size_t);
extern void *mmap(void *, size_t, int, int, int, long); // not malloc: the compiler finds Bun's own free to it
extern int munmap(void *, size_t);
extern void *memcpy(void *, const void *, size_t);
extern int memcmp(const void *, const void *, size_t);
extern int strncmp(const char *, const char *, size_t);
extern char *strstr(const char *, const char *);
extern int pthread_mutex_lock(void *);
extern int pthread_mutex_unlock(void *);
extern int pthread_cond_wait(void *, void *);
extern int pthread_cond_signal(void *);
extern int pthread_cond_broadcast(void *);
extern int pthread_create(void *, const void *, void *(*)(void *), void *);
extern int pthread_detach(size_t);
extern int pthread_setaffinity_np(size_t, size_t, const void *);
extern int sched_getaffinity(int, size_t, void *);
extern int sched_getcpu(void);

enum { resolve_now = 2, max_rank = 12, buckets = 1024, page = 4096 };
enum { readable = 1, writable = 2, own = 2, anonymous = 32 }; // mmap's, on Linux
enum { bf16 = 2, f32 = 3 };                     // dnnl_data_type_t
enum { source = 1, other = 2, result = 17, weights = 33, working = 80 }; // DNNL_ARG_SRC, _SRC_1, _DST, _WEIGHTS, _SCRATCHPAD
enum { after = 32768 };                         // DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE: the first operation's is this times 1
enum { sum = 0x1fff0, accurate = 0x30000, inference = 96 }; // dnnl_alg_kind_t, dnnl_prop_kind_t
enum { processor = 1, openmp = 2, in_order = 1, implementation = 8, given = 1, scratchpad = 136 };

/** Multiplications up to which one thread is sooner done than several have been woken. */
static const double small = 4194304;
/** Scores that are kept in the second cache between their product and the softmax: 256 KiB. */
static const dim_t cached = 65536;
/** Rows up to which turning a matrix costs more than multiplying by it. */
static const dim_t few = 64;
/** Looks, each some 15 ns long, for others to finish before this thread sleeps: waking it takes 50 microseconds. */
static const int looks = 1000;

static const version_t *(*version)(void);
static int (*engine_create)(void **, int, size_t);
static int (*stream_create)(void **, void *, unsigned);
static int (*stream_wait)(void *);
static int (*stream_destroy)(void *);
static int (*description_create)(void **, int, const dim_t *, int, const dim_t *);
static size_t (*description_size)(const void *);
static int (*options_create)(void **);
static int (*options_destroy)(void *);
static int (*options_scratchpad)(void *, int);
static int (*options_operations)(void *, const void *);
static int (*operations_create)(void **);
static int (*operations_destroy)(void *);
static int (*operations_binary)(void *, int, const void *);
static int (*softmax_create)(void **, void *, int, int, const void *, const void *, int, const void *);
static int (*product_create)(void **, void *, const void *, const void *, const void *, const void *, const void *);
static int (*product_query)(const void *, int, int, void *);
static const void *(*product_query_description)(const void *, int, int);
static int (*product_destroy)(void *);
static int (*primitive_create)(void **, const void *);
static int (*memory_create)(void **, const void *, void *, void *);
static int (*memory_destroy)(void *);
static int (*execute)(const void *, void *, int, const argument_t *);
static int (*sgemm)(char, char, dim_t, dim_t, dim_t, float, const float *, dim_t, const float *, dim_t, float, float *,
                    dim_t);
static void (*set_threads)(int);

static void *engine, *options;
/** How many threads a large product has, and whether products of bf16 have code of their own here. */
static int threads, has_bf16;
/**
 * Whether sgemm is slow with a right operand that it has to turn; whether two threads share large products piece by piece.
 * On an AMD processor with AVX-512 (Zen 4) sgemm gives 172 GFLOP/s where such an operand has rows of 12 KiB, a primitive 213,
 * and a step of T5-base takes 0.95 of its time if products are shared. On a Xeon sgemm is the faster one, and with AMX
 * oneDNN packs for a quarter of the time, which pieces would do more often; on AVX2 smaller pieces are slower.
 */
static int turns_slowly, shares, fuses_softmax;

/** What a call reads: two operands, and what is added to their product. */
enum { most_added = 2, most_in = 2 + most_added };

/** A part of a product: a smaller one, and where what it reads and its result begin, in bytes. */
struct piece {
  struct product *product;
  dim_t in[most_in], out;
};
enum { most_pieces = 4 };

/** An object of oneDNN's, and descriptions of what it reads, writes and works in. */
struct object {
  void *primitive, *in[most_in], *out;
  const void *scratch;
  size_t scratch_size; // in bytes; 0: it needs none
  int names[most_in], count;
};

/** A product as a program describes it: [.., M, K] by [.., K, N]. */
struct product {
  struct product *next;
  const char *key;
  size_t length;
  int type, out_type, rank, threads, way, is_slow, added, has_softmax;
  dim_t left[max_rank], right[max_rank], out[max_rank];
  dim_t left_by[max_rank], right_by[max_rank], out_by[max_rank]; // strides in elements
  dim_t added_by[most_added][max_rank];                          // 0: the same number all along that dimension
  struct object object;
  int pieces; // 0: it is computed as a whole
  struct piece piece[most_pieces];
  // With a softmax: so many rows at a time, whose numbers stay in the second cache, and the products and objects for
  // them and for the last rows of a matrix.
  dim_t chunk;
  struct product *scores[2];
  struct object softmax[2];
};
/** Ways to compute a product: oneDNN's object for it, products of f32 matrices (sgemm), rows of a softmax, or loops. */
enum { primitives = 1, matrices, rows_at_once, slow_loops };

// Mutexes and conditions; zeros are fresh ones.
static long table[8], turn[8], state[8], shelf[8], crew[8], wanted[16], finished[16], called[16], done[16];
static struct product *known[buckets];
static long slow, cuts;

/** How many products were or will be computed by loops, ours or oneDNN's reference code. */
long slow_products(void) { return slow; }

/** How many products two threads share piece by piece. */
long cut_products(void) { return cuts; }

static int has_wide_code(int type);
static int is_amd(void);
static int can_add(void);

/** 0, or the number of the reason in library.ts. */
int start(const char *path, int count) {
  void *library = dlopen(path, resolve_now);
  if (!library) return 1;
#define FIND(pointer, name) \
  if (!(*(void **)&pointer = dlsym(library, name))) return 2;
  FIND(version, "dnnl_version")
  if (version()->major != 3) return 3;
  // Only a build with OpenMP has threads whose number a caller sets.
  if (version()->processor_runtime != openmp) return 4;
  FIND(set_threads, "omp_set_num_threads")
  FIND(engine_create, "dnnl_engine_create")
  FIND(stream_create, "dnnl_stream_create")
  FIND(stream_wait, "dnnl_stream_wait")
  FIND(stream_destroy, "dnnl_stream_destroy")
  FIND(description_create, "dnnl_memory_desc_create_with_strides")
  FIND(description_size, "dnnl_memory_desc_get_size")
  FIND(options_create, "dnnl_primitive_attr_create")
  FIND(options_destroy, "dnnl_primitive_attr_destroy")
  FIND(options_scratchpad, "dnnl_primitive_attr_set_scratchpad_mode")
  FIND(options_operations, "dnnl_primitive_attr_set_post_ops")
  FIND(operations_create, "dnnl_post_ops_create")
  FIND(operations_destroy, "dnnl_post_ops_destroy")
  FIND(operations_binary, "dnnl_post_ops_append_binary")
  FIND(softmax_create, "dnnl_softmax_forward_primitive_desc_create")
  FIND(product_create, "dnnl_matmul_primitive_desc_create")
  FIND(product_query, "dnnl_primitive_desc_query")
  FIND(product_query_description, "dnnl_primitive_desc_query_md")
  FIND(product_destroy, "dnnl_primitive_desc_destroy")
  FIND(primitive_create, "dnnl_primitive_create")
  FIND(memory_create, "dnnl_memory_create")
  FIND(memory_destroy, "dnnl_memory_destroy")
  FIND(execute, "dnnl_primitive_execute")
  FIND(sgemm, "dnnl_sgemm")
  threads = count;
  if (engine_create(&engine, processor, 0)) return 5;
  // The memory that a primitive works in is given to each call. oneDNN's own belongs to the primitive: two threads in one
  // primitive, which XLA's are, would write over each other's numbers.
  if (options_create(&options) || options_scratchpad(options, given)) return 5;
  has_bf16 = has_wide_code(bf16);
  turns_slowly = is_amd() && has_wide_code(f32);
  shares = turns_slowly && threads == 2;
  // A softmax of rows has two threads take them as they become free, as pieces are.
  fuses_softmax = shares && has_bf16 && can_add();
  return 0;
}

/** Whether sums and a softmax of rows can be part of a product of bf16. */
int has_softmax(void) { return fuses_softmax; }

/** Whether products of bf16 are computed as such here, not widened. */
int has_narrow_code(void) { return has_bf16; }

int version_of(int part) { return part == 0 ? version()->major : part == 1 ? version()->minor : version()->patch; }

/** What code an object has: none for this processor ("ref"), some, or such that uses registers of 512 bits. */
enum { no_code, some_code, wide };

/** Makes an object of oneDNN's from its description, which is kept for it. Says what code it has. */
static int complete(struct object *o, void *description) {
  const char *name = 0;
  if (primitive_create(&o->primitive, description)) {
    o->primitive = 0;
    product_destroy(description);
    return no_code;
  }
  o->scratch = product_query_description(description, scratchpad, 0);
  o->scratch_size = o->scratch ? description_size(o->scratch) : 0;
  if (product_query(description, implementation, 0, &name) || !name) return some_code;
  return !strncmp(name, "brg", 3) && strstr(name, "512") ? wide : !strncmp(name, "ref", 3) ? no_code : some_code;
}

/** Says in `with` what is done to a product's numbers, and describes in `o` what is added to them. */
static int describe_operations(const struct product *p, struct object *o, void **with) {
  void *operations = 0;
  dim_t sizes[max_rank], by[max_rank];
  int i, n, failed = operations_create(&operations) || options_create(with) || options_scratchpad(*with, given);
  for (n = 0; n < p->added && !failed; n++) {
    for (i = 0; i < p->rank; i++) {
      sizes[i] = p->added_by[n][i] ? p->out[i] : 1;
      by[i] = p->added_by[n][i] ? p->added_by[n][i] : 1;
    }
    failed = description_create(&o->in[2 + n], p->rank, sizes, f32, by) || operations_binary(operations, sum, o->in[2 + n]);
    o->names[2 + n] = after * (n + 1) | other;
  }
  failed = failed || options_operations(*with, operations);
  if (operations) operations_destroy(operations);
  return failed;
}

/** Makes oneDNN's object for a product. Says what code it has: none for this processor ("ref"), some, or wide one. */
static int create(struct product *p) {
  struct object *o = &p->object;
  void *description = 0, *with = 0;
  int failed, is_plain = p->added == 0;
  o->names[0] = source, o->names[1] = weights, o->count = 2 + p->added;
  failed = description_create(&o->in[0], p->rank, p->left, p->type, p->left_by) ||
           description_create(&o->in[1], p->rank, p->right, p->type, p->right_by) ||
           description_create(&o->out, p->rank, p->out, p->out_type, p->out_by) ||
           (!is_plain && describe_operations(p, o, &with)) ||
           product_create(&description, engine, o->in[0], o->in[1], 0, o->out, is_plain ? options : with);
  if (with) options_destroy(with);
  return failed ? no_code : complete(o, description);
}

/** Whether products of numbers of a type have code of their own here that uses registers of 512 bits. */
static int has_wide_code(int type) {
  static struct product products[2];
  struct product *p = &products[type == f32];
  p->type = type, p->out_type = f32, p->rank = 2;
  p->left[0] = p->left[1] = p->right[0] = p->right[1] = p->out[0] = p->out[1] = 64;
  p->left_by[0] = p->right_by[0] = p->out_by[0] = 64;
  p->left_by[1] = p->right_by[1] = p->out_by[1] = 1;
  return create(p) == wide;
}

static int is_amd(void) {
#ifdef __x86_64__
  unsigned leaf = 0, b, c, d;
  __asm__ volatile("cpuid" : "+a"(leaf), "=b"(b), "=c"(c), "=d"(d));
  return b == 0x68747541 && d == 0x69746e65 && c == 0x444d4163; // "AuthenticAMD"
#else
  return 0;
#endif
}

static dim_t number(const char **at, const char *end) {
  dim_t value = 0;
  while (*at < end && (**at < '0' || **at > '9')) ++*at;
  while (*at < end && **at >= '0' && **at <= '9') value = 10 * value + (*(*at)++ - '0');
  return value;
}

/** Whether each of a batch is a product of matrices as sgemm takes them: turned or not, with rows in one stretch. */
static int are_matrices(const struct product *p) {
  int rows = p->rank - 2, columns = p->rank - 1;
  const dim_t *sizes[3], *by[3];
  int i;
  sizes[0] = p->left, sizes[1] = p->right, sizes[2] = p->out;
  by[0] = p->left_by, by[1] = p->right_by, by[2] = p->out_by;
  for (i = 0; i < 3; i++) {
    int is_plain = by[i][columns] == 1 && by[i][rows] >= sizes[i][columns];
    int is_turned = by[i][rows] == 1 && by[i][columns] >= sizes[i][rows];
    if (!is_plain && (i == 2 || !is_turned)) return 0;
  }
  return 1;
}

/** Chooses how to compute a product with its number of threads. */
static void choose(struct product *p) {
  int code, is_matrix = p->rank == 2 && p->type == f32, rows = p->rank - 2, columns = p->rank - 1;
  p->way = are_matrices(p) && p->added == 0 ? matrices : slow_loops;
  // bf16 that the processor has no code for is widened, for sgemm.
  if (p->way == matrices && p->type == bf16 && !has_bf16) return;
  // A plain f32 product: sgemm is as fast with every size, the primitive not where a row is a multiple of 4 KiB. But with
  // few rows sgemm turns all of a turned right operand for them, and some processors are slow at turning.
  if (p->way == matrices && is_matrix && (p->right_by[columns] == 1 || (p->out[rows] > few && !turns_slowly))) return;
  // The object is made for the number of threads of now.
  set_threads(p->threads);
  code = create(p);
  if (code != no_code || (p->object.primitive && p->way == slow_loops)) p->way = primitives;
  p->is_slow = code == no_code && p->way != matrices;
}

/**
 * How long two threads are busy with pieces of so many of `size`, by the first's: the pieces are alike but for the last, and
 * at most four.
 */
static dim_t longer_share(dim_t size, dim_t step) {
  dim_t count = (size + step - 1) / step;
  return count == 1 ? size : count == 2 ? step : count == 3 ? size - step : 2 * step;
}

/**
 * Cuts a large product for two threads, which take the pieces as they become free. Objects of oneDNN's for two threads are
 * divided into equal halves, and one core waits for the other's wherever that one began late or is slower.
 */
static void cut(struct product *p) {
  int rows = p->rank - 2, columns = p->rank - 1, at = 0, i, n, has_few = p->out[rows] <= few;
  dim_t step, bytes = p->type == bf16 ? 2 : 4, out_bytes = p->out_type == bf16 ? 2 : 4;
  // Of a batch the first dimension of some length: what is cut across others is no stretch of memory, which slows oneDNN.
  while (at < rows && p->out[at] == 1) at++;
  // Few rows are cut only where each column would have to be turned for them.
  if (at == rows && has_few && !(p->right_by[columns] != 1 && p->out[columns] < p->right[rows])) at = columns;
  for (i = has_few && at >= rows ? 2 : most_pieces; i > 1; i /= 2) {
    step = (p->out[at] + i - 1) / i;
    // What oneDNN's kernels take at a time.
    if (at >= rows) step = (step + 15) / 16 * 16;
    if (5 * longer_share(p->out[at], step) <= 3 * p->out[at]) break;
  }
  // Two threads in one object of oneDNN's would share it better.
  if (i == 1) return;
  for (i = 0; i * step < p->out[at]; i++) {
    struct piece *piece = &p->piece[i];
    dim_t begin = i * step, length = p->out[at] - begin < step ? p->out[at] - begin : step;
    piece->in[0] = at == columns ? 0 : begin * p->left_by[at] * bytes;
    piece->in[1] = at == rows ? 0 : begin * p->right_by[at] * bytes;
    for (n = 0; n < p->added; n++) piece->in[2 + n] = begin * p->added_by[n][at] * (dim_t)sizeof(float);
    piece->out = begin * p->out_by[at] * out_bytes;
    // All but the last one are alike, and so may that one be.
    if (i > 0 && length == step) {
      piece->product = p->piece[0].product;
      continue;
    }
    piece->product = calloc(1, sizeof *p);
    memcpy(piece->product, p, sizeof *p);
    piece->product->out[at] = length;
    if (at != columns) piece->product->left[at] = length;
    if (at != rows) piece->product->right[at] = length;
    piece->product->threads = 1;
    choose(piece->product);
    // What is widened and narrowed again is written as a whole, with what lies between its rows.
    if (piece->product->is_slow || (piece->product->way == matrices && p->out_type == bf16)) return;
  }
  p->pieces = i;
  cuts++;
}

/** The product of so many rows of two matrices, whose numbers lie side by side. */
static struct product *scores_of(const struct product *p, dim_t rows) {
  struct product *scores = calloc(1, sizeof *scores);
  int batch = p->rank - 2, i, n;
  scores->type = p->type, scores->out_type = f32, scores->rank = 2, scores->threads = 1, scores->added = p->added;
  scores->left[0] = scores->out[0] = rows, scores->left[1] = scores->right[0] = p->right[batch];
  scores->right[1] = scores->out[1] = scores->out_by[0] = p->out[batch + 1], scores->out_by[1] = 1;
  for (i = 0; i < 2; i++) {
    scores->left_by[i] = p->left_by[batch + i], scores->right_by[i] = p->right_by[batch + i];
    for (n = 0; n < p->added; n++) scores->added_by[n][i] = p->added_by[n][batch + i];
  }
  choose(scores);
  return scores;
}

/** oneDNN's object for the softmax of so many rows of scores. */
static int create_softmax(const struct product *p, dim_t rows, struct object *o) {
  dim_t sizes[2], in_by[2], out_by[2];
  void *description = 0;
  sizes[0] = rows, sizes[1] = in_by[0] = p->out[p->rank - 1], in_by[1] = out_by[1] = 1, out_by[0] = p->out_by[p->rank - 2];
  o->names[0] = source, o->count = 1;
  if (description_create(&o->in[0], 2, sizes, f32, in_by) || description_create(&o->out, 2, sizes, p->out_type, out_by) ||
      softmax_create(&description, engine, inference, accurate, o->in[0], o->out, 1, options))
    return no_code;
  return complete(o, description);
}

/** Prepares a product whose rows get a softmax. */
static void by_rows(struct product *p) {
  dim_t rows = p->out[p->rank - 2], columns = p->out[p->rank - 1], tail;
  int i;
  p->chunk = cached / columns / 16 * 16;
  if (p->chunk < 16) p->chunk = 16;
  if (p->chunk > rows) p->chunk = rows;
  tail = rows % p->chunk;
  p->way = rows_at_once;
  set_threads(1);
  for (i = 0; i < (tail ? 2 : 1); i++) {
    p->scores[i] = scores_of(p, i ? tail : p->chunk);
    if (p->scores[i]->is_slow || create_softmax(p, i ? tail : p->chunk, &p->softmax[i]) == no_code) p->way = slow_loops;
  }
  p->is_slow = p->way == slow_loops;
}

/**
 * Reads "type, result's type, rank, batch.., M, K, N, strides of left.., right.., result..", then any of "add strides..", with
 * 0 along what is broadcast, then "softmax" (of the last dimension) or nothing.
 */
static struct product *describe(const char *key, size_t length) {
  struct product *p = calloc(1, sizeof *p);
  char *copy = calloc(length + 1, 1);
  const char *at = key, *end = key + length;
  double work = 1;
  int i, batch;
  memcpy(copy, key, length);
  p->key = copy;
  p->length = length;
  p->type = number(&at, end) == 16 ? bf16 : f32;
  p->out_type = number(&at, end) == 16 ? bf16 : f32;
  p->rank = (int)number(&at, end);
  batch = p->rank - 2;
  for (i = 0; i < batch; i++) work *= p->left[i] = p->right[i] = p->out[i] = number(&at, end);
  p->left[batch] = p->out[batch] = number(&at, end);
  p->left[batch + 1] = p->right[batch] = number(&at, end);
  p->right[batch + 1] = p->out[batch + 1] = number(&at, end);
  for (i = 0; i < p->rank; i++) p->left_by[i] = number(&at, end);
  for (i = 0; i < p->rank; i++) p->right_by[i] = number(&at, end);
  for (i = 0; i < p->rank; i++) p->out_by[i] = number(&at, end);
  while (at < end) {
    while (at < end && *at == ' ') at++;
    if (*at == 'a' && p->added < most_added) {
      for (i = 0; i < p->rank; i++) p->added_by[p->added][i] = number(&at, end);
      p->added++;
      continue;
    }
    p->has_softmax = *at == 's';
    break;
  }
  work = work * p->left[batch] * p->left[batch + 1] * p->right[batch + 1];
  p->threads = work < small ? 1 : threads;
  if (p->has_softmax) by_rows(p);
  else if (p->threads > 1 && shares && (p->type == f32 || has_bf16)) cut(p);
  if (p->pieces == 0 && p->way == 0) choose(p);
  slow += p->is_slow;
  return p;
}

static const struct product *product_of(const char *key, size_t length) {
  unsigned long hash = 5381;
  struct product *p;
  size_t i;
  for (i = 0; i < length; i++) hash = hash * 33 + (unsigned char)key[i];
  hash %= buckets;
  pthread_mutex_lock(table);
  for (p = known[hash]; p; p = p->next)
    if (p->length == length && !memcmp(p->key, key, length)) break;
  if (!p) {
    p = describe(key, length);
    p->next = known[hash];
    known[hash] = p;
  }
  pthread_mutex_unlock(table);
  return p;
}

static float load(int type, const void *data, dim_t at) {
  union { unsigned bits; float value; } wide;
  if (type == f32) return ((const float *)data)[at];
  wide.bits = (unsigned)((const unsigned short *)data)[at] << 16;
  return wide.value;
}

/** bf16 to the nearest, ties to even. */
static void store(int type, void *data, dim_t at, float value) {
  union { unsigned bits; float value; } wide;
  wide.value = value;
  if (type == f32) ((float *)data)[at] = value;
  else if (value != value) ((unsigned short *)data)[at] = 0x7fc0;
  else ((unsigned short *)data)[at] = (unsigned short)((wide.bits + 0x7fff + ((wide.bits >> 16) & 1)) >> 16);
}

/** Where number `n` of a batch begins in what has these strides. */
static dim_t begin_of(const struct product *p, dim_t n, const dim_t *by) {
  dim_t begin = 0;
  int i;
  for (i = p->rank - 3; i >= 0; i--) {
    begin += n % p->out[i] * by[i];
    n /= p->out[i];
  }
  return begin;
}

static dim_t batches_of(const struct product *p) {
  dim_t batches = 1;
  int i;
  for (i = 0; i < p->rank - 2; i++) batches *= p->out[i];
  return batches;
}

/** e to the power of a number that is not above 0. */
static double power_of_e(double x) {
  double term = 1, value = 1;
  int halvings = 0, i;
  if (x != x) return x;
  if (x < -700) return 0;
  for (; x < -0.5; halvings++) x /= 2;
  for (i = 1; i < 16; i++) value += term *= x / i;
  for (; halvings > 0; halvings--) value *= value;
  return value;
}

/** One number of a product, with what is added to it. */
static double number_at(const struct product *p, const void **in, dim_t n, dim_t row, dim_t column) {
  int batch = p->rank - 2, i;
  dim_t inner, in_a = begin_of(p, n, p->left_by) + row * p->left_by[batch],
               in_b = begin_of(p, n, p->right_by) + column * p->right_by[batch + 1];
  double value = 0;
  for (inner = 0; inner < p->right[batch]; inner++)
    value += (double)load(p->type, in[0], in_a + inner * p->left_by[batch + 1]) *
             load(p->type, in[1], in_b + inner * p->right_by[batch]);
  for (i = 0; i < p->added; i++)
    value += ((const float *)in[2 + i])[begin_of(p, n, p->added_by[i]) + row * p->added_by[i][batch] +
                                        column * p->added_by[i][batch + 1]];
  return value;
}

static void loops(const struct product *p, const void **in, void *c) {
  int batch = p->rank - 2;
  dim_t batches = batches_of(p), columns = p->out[batch + 1], n, row, column;
  for (n = 0; n < batches; n++)
    for (row = 0; row < p->out[batch]; row++) {
      dim_t begin = begin_of(p, n, p->out_by) + row * p->out_by[batch];
      double largest = 0, total = 0;
      // Of a softmax each number is computed three times, since there is no place for a row of them.
      if (p->has_softmax) {
        for (column = 0; column < columns; column++) {
          double value = number_at(p, in, n, row, column);
          if (column == 0 || value > largest) largest = value;
        }
        for (column = 0; column < columns; column++) total += power_of_e(number_at(p, in, n, row, column) - largest);
      }
      for (column = 0; column < columns; column++) {
        double value = number_at(p, in, n, row, column);
        if (p->has_softmax) value = power_of_e(value - largest) / total;
        store(p->out_type, c, begin + column * p->out_by[batch + 1], (float)value);
      }
    }
}

/** Memory that calls work in, kept for the next: a list of what no call has now, as long as calls were ever at once. */
struct space {
  struct space *next;
  void *data;
  size_t size;
};
static struct space *spaces;

static void give_back(struct space *space) {
  pthread_mutex_lock(shelf);
  space->next = spaces;
  spaces = space;
  pthread_mutex_unlock(shelf);
}

/** A space of at least so many bytes; none where there is no memory. */
static struct space *take(size_t size) {
  struct space **at, **found = 0, *space;
  pthread_mutex_lock(shelf);
  // The smallest that will do, or else the largest, to be replaced.
  for (at = &spaces; *at; at = &(*at)->next)
    if (!found || ((*at)->size >= size ? (*found)->size < size || (*at)->size < (*found)->size
                                       : (*found)->size < (*at)->size))
      found = at;
  space = found ? *found : 0;
  if (space) *found = space->next;
  pthread_mutex_unlock(shelf);
  if (!space && !(space = calloc(1, sizeof *space))) return 0;
  if (space->size < size) {
    if (space->size > 0) munmap(space->data, space->size);
    space->size = (size + page - 1) / page * page;
    space->data = mmap(0, space->size, readable | writable, own | anonymous, -1, 0);
    if (space->data == (void *)-1) {
      space->size = 0;
      give_back(space);
      return 0;
    }
  }
  return space;
}

/** Calls an object of oneDNN's on the threads that it was made for. */
static int perform(const struct object *o, const void **in, void *out) {
  void *memories[most_in + 2], *stream = 0;
  argument_t arguments[most_in + 2];
  struct space *space = o->scratch_size ? take(o->scratch_size) : 0;
  int count = 0, i, failed = o->scratch_size && !space;
  for (i = 0; i < o->count + (space ? 2 : 1) && !failed; i++) {
    const void *description = i < o->count ? o->in[i] : i == o->count ? o->out : o->scratch;
    void *data = i < o->count ? (void *)in[i] : i == o->count ? out : space->data;
    failed = memory_create(&memories[count], description, engine, data);
    arguments[count].name = i < o->count ? o->names[i] : i == o->count ? result : working;
    arguments[count].memory = memories[count];
    if (!failed) count++;
  }
  failed = failed || stream_create(&stream, engine, in_order) || execute(o->primitive, stream, count, arguments) ||
           stream_wait(stream);
  for (i = 0; i < count; i++) memory_destroy(memories[i]);
  if (stream) stream_destroy(stream);
  if (space) give_back(space);
  return failed;
}

/** A crew of threads, the caller among them, that divides one piece of work after the other. They wait asleep. */
static struct {
  void (*run)(void *what, int part);
  void *what;
  int parts, next, left, members, away;
  size_t helper;
} shift;

/**
 * Keeps the one helper from the processor that its caller runs on. Woken while another thread is about to leave the second
 * processor it would be put there, and stay: one product in thirty took twice its time.
 */
static void send_away(void) {
  unsigned long allowed[16];
  int cpu = sched_getcpu(), i, others = 0;
  if (shift.members != 1 || cpu == shift.away || cpu < 0 || cpu >= 64 * 16) return;
  for (i = 0; i < 16; i++) allowed[i] = 0;
  if (sched_getaffinity(0, sizeof allowed, allowed) < 0) return;
  allowed[cpu / 64] &= ~(1ul << cpu % 64);
  for (i = 0; i < 16; i++) others |= allowed[i] != 0;
  if (others && !pthread_setaffinity_np(shift.helper, sizeof allowed, allowed)) shift.away = cpu;
}

static void *help(void *nothing) {
  pthread_mutex_lock(crew);
  for (;;) {
    while (shift.next >= shift.parts) pthread_cond_wait(called, crew);
    for (; shift.next < shift.parts;) {
      int part = shift.next++;
      pthread_mutex_unlock(crew);
      shift.run(shift.what, part);
      pthread_mutex_lock(crew);
      if (--shift.left == 0) pthread_cond_signal(done);
    }
  }
  return nothing;
}

static void rest(void) {
#ifdef __x86_64__
  __asm__ volatile("pause");
#endif
}

/** Runs `parts` parts. More than one: for one caller at a time. */
static void divide(void (*run)(void *, int), void *what, int parts) {
  size_t member;
  int look;
  if (parts == 1) {
    run(what, 0);
    return;
  }
  pthread_mutex_lock(crew);
  for (; shift.members < threads - 1 && !pthread_create(&member, 0, help, 0); shift.members++) {
    pthread_detach(member); // it never ends, so its name stays good
    shift.helper = member, shift.away = -1;
  }
  send_away();
  shift.run = run, shift.what = what, shift.next = 0, shift.parts = shift.left = parts;
  pthread_cond_broadcast(called);
  while (shift.next < shift.parts) {
    int part = shift.next++;
    pthread_mutex_unlock(crew);
    run(what, part);
    pthread_mutex_lock(crew);
    if (--shift.left == 0) pthread_cond_signal(done);
  }
  pthread_mutex_unlock(crew);
  for (look = 0; look < looks && *(volatile int *)&shift.left > 0; look++) rest();
  pthread_mutex_lock(crew);
  while (shift.left > 0) pthread_cond_wait(done, crew);
  pthread_mutex_unlock(crew);
}

/** A batch of products of f32 matrices, and numbers to be widened for them or narrowed after them. */
struct work {
  const struct product *product;
  const float *a, *b;
  float *c;
  dim_t batches, count;
  int parts, failed;
  const unsigned short *narrow;
  float *wide;
  unsigned short *narrowed;
};

static void multiply_part(void *what, int part) {
  struct work *w = what;
  const struct product *p = w->product;
  int batch = p->rank - 2, turn_a = p->left_by[batch + 1] != 1, turn_b = p->right_by[batch + 1] != 1;
  dim_t n = w->batches * part / w->parts, end = w->batches * (part + 1) / w->parts;
  if (w->parts > 1) set_threads(1);
  for (; n < end; n++) {
    dim_t in_a = begin_of(p, n, p->left_by), in_b = begin_of(p, n, p->right_by), in_c = begin_of(p, n, p->out_by);
    if (sgemm(turn_a ? 'T' : 'N', turn_b ? 'T' : 'N', p->out[batch], p->out[batch + 1], p->right[batch], 1, w->a + in_a,
              p->left_by[batch + turn_a], w->b + in_b, p->right_by[batch + turn_b], 0, w->c + in_c, p->out_by[batch]))
      w->failed = 1;
  }
}

#ifdef __x86_64__
/** Widens eights. The compiler makes no vector code, and knows few of its instructions: none that copies a register. */
static void widen_eights(const unsigned short *from, unsigned *to, dim_t eights) {
  __asm__ volatile(
      "1:\n"
      "movups (%0), %%xmm0\n movups (%0), %%xmm1\n"
      "pxor %%xmm2, %%xmm2\n pxor %%xmm3, %%xmm3\n"
      "punpcklwd %%xmm0, %%xmm2\n punpckhwd %%xmm1, %%xmm3\n"
      "movups %%xmm2, (%1)\n movups %%xmm3, 16(%1)\n"
      "add $16, %0\n add $32, %1\n sub $1, %2\n jg 1b\n"
      : "+r"(from), "+r"(to), "+r"(eights) : : "memory");
}

/** Narrows fours as `store` does one. */
static void narrow_fours(const float *from, unsigned short *to, dim_t fours) {
  static const unsigned constants[20] = {1, 1, 1, 1, 0x7fff, 0x7fff, 0x7fff, 0x7fff, 0x7f800000, 0x7f800000, 0x7f800000,
      0x7f800000, 0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fc0, 0x7fc0, 0x7fc0, 0x7fc0};
  __asm__ volatile(
      "movups (%3), %%xmm4\n movups 16(%3), %%xmm5\n movups 32(%3), %%xmm6\n movups 48(%3), %%xmm7\n"
      "1:\n"
      "movups (%0), %%xmm0\n movups (%0), %%xmm1\n movups (%0), %%xmm2\n movups 64(%3), %%xmm3\n"
      "psrld $16, %%xmm1\n pand %%xmm4, %%xmm1\n paddd %%xmm5, %%xmm1\n paddd %%xmm0, %%xmm1\n psrld $16, %%xmm1\n"
      "pand %%xmm7, %%xmm2\n pcmpgtd %%xmm6, %%xmm2\n" // what is no number
      "pand %%xmm2, %%xmm3\n pandn %%xmm1, %%xmm2\n por %%xmm3, %%xmm2\n"
      "pslld $16, %%xmm2\n psrad $16, %%xmm2\n packssdw %%xmm2, %%xmm2\n movq %%xmm2, (%1)\n"
      "add $16, %0\n add $8, %1\n sub $1, %2\n jg 1b\n"
      : "+r"(from), "+r"(to), "+r"(fours) : "r"(constants) : "memory");
}
#else
static void widen_eights(const unsigned short *from, unsigned *to, dim_t eights) {
  dim_t i;
  for (i = 0; i < 8 * eights; i++) to[i] = (unsigned)from[i] << 16;
}
static void narrow_fours(const float *from, unsigned short *to, dim_t fours) {
  dim_t i;
  for (i = 0; i < 4 * fours; i++) store(bf16, to, i, from[i]);
}
#endif

static void widen_part(void *what, int part) {
  const struct work *w = what;
  dim_t eights = w->count / 8, at = eights * part / w->parts, end = eights * (part + 1) / w->parts;
  unsigned *to = (unsigned *)w->wide;
  if (end > at) widen_eights(w->narrow + 8 * at, to + 8 * at, end - at);
  if (part == w->parts - 1)
    for (at = 8 * eights; at < w->count; at++) to[at] = (unsigned)w->narrow[at] << 16;
}

static void narrow_part(void *what, int part) {
  const struct work *w = what;
  dim_t fours = w->count / 4, at = fours * part / w->parts, end = fours * (part + 1) / w->parts;
  if (end > at) narrow_fours(w->wide + 4 * at, w->narrowed + 4 * at, end - at);
  if (part == w->parts - 1)
    for (at = 4 * fours; at < w->count; at++) store(bf16, w->narrowed, at, w->wide[at]);
}

/** How many numbers lie from the first to the last of an operand. */
static dim_t extent(int rank, const dim_t *sizes, const dim_t *by) {
  dim_t count = 1;
  int i;
  for (i = 0; i < rank; i++) count += (sizes[i] - 1) * by[i];
  return count;
}

static struct space *widened(struct work *w, const void *from, dim_t count) {
  struct space *space = take(count * sizeof(float));
  if (!space) return 0;
  w->narrow = from, w->wide = space->data, w->count = count;
  divide(widen_part, w, w->parts);
  return space;
}

static int by_matrices(const struct product *p, const void *a, const void *b, void *c, int count) {
  struct work w;
  struct space *wide_a = 0, *wide_b = 0, *wide_c = 0;
  dim_t out_count = extent(p->rank, p->out, p->out_by);
  int failed = 0;
  w.product = p, w.a = a, w.b = b, w.c = c, w.batches = batches_of(p), w.parts = count, w.failed = 0;
  if (p->type == bf16) {
    if ((wide_a = widened(&w, a, extent(p->rank, p->left, p->left_by)))) w.a = w.wide;
    if ((wide_b = widened(&w, b, extent(p->rank, p->right, p->right_by)))) w.b = w.wide;
    failed = !wide_a || !wide_b;
  }
  if (p->out_type == bf16 && !failed) {
    if ((wide_c = take(out_count * sizeof(float)))) w.c = wide_c->data;
    failed = !wide_c;
  }
  if (!failed) {
    // A batch is divided among threads; a lone product sgemm divides itself.
    w.parts = w.batches >= count ? count : 1;
    if (w.parts == 1) set_threads(count);
    divide(multiply_part, &w, w.parts);
    failed = w.failed;
  }
  if (p->out_type == bf16 && !failed) {
    w.wide = w.c, w.narrowed = c, w.count = out_count, w.parts = count;
    divide(narrow_part, &w, count);
  }
  if (wide_a) give_back(wide_a);
  if (wide_b) give_back(wide_b);
  if (wide_c) give_back(wide_c);
  return failed;
}

static int compute(const struct product *p, const void **in, void *out, int count) {
  if (p->way == matrices) return by_matrices(p, in[0], in[1], out, count);
  set_threads(count);
  return perform(&p->object, in, out);
}

/** A product that is computed part by part, with what it reads. */
struct cut_work {
  const struct product *product;
  const void **in;
  char *out;
  int failed;
};

static void compute_piece(void *what, int part) {
  struct cut_work *w = what;
  const struct piece *piece = &w->product->piece[part];
  const void *in[most_in];
  int i;
  for (i = 0; i < 2 + w->product->added; i++) in[i] = (const char *)w->in[i] + piece->in[i];
  if (compute(piece->product, in, w->out + piece->out, 1)) w->failed = 1;
}

static dim_t chunks_of(const struct product *p) { return (p->out[p->rank - 2] + p->chunk - 1) / p->chunk; }

/** Some rows of one matrix: their scores, and the softmax of these. */
static void compute_rows(void *what, int part) {
  struct cut_work *w = what;
  const struct product *p = w->product;
  int rows = p->rank - 2, i, is_tail;
  dim_t n = part / chunks_of(p), row = part % chunks_of(p) * p->chunk;
  dim_t bytes = p->type == bf16 ? 2 : 4, out_bytes = p->out_type == bf16 ? 2 : 4;
  struct space *space = take(p->chunk * p->out[rows + 1] * sizeof(float));
  const void *in[most_in], *scores;
  if (!space) {
    w->failed = 1;
    return;
  }
  is_tail = row + p->chunk > p->out[rows];
  in[0] = (const char *)w->in[0] + (begin_of(p, n, p->left_by) + row * p->left_by[rows]) * bytes;
  in[1] = (const char *)w->in[1] + begin_of(p, n, p->right_by) * bytes;
  for (i = 0; i < p->added; i++)
    in[2 + i] = (const float *)w->in[2 + i] + begin_of(p, n, p->added_by[i]) + row * p->added_by[i][rows];
  scores = space->data;
  if (compute(p->scores[is_tail], in, space->data, 1) ||
      perform(&p->softmax[is_tail], &scores, w->out + (begin_of(p, n, p->out_by) + row * p->out_by[rows]) * out_bytes))
    w->failed = 1;
  give_back(space);
}

/** Pieces or rows, by two threads where products are shared so. */
static int by_parts(const struct product *p, const void **in, void *out) {
  int is_softmax = p->way == rows_at_once, parts = is_softmax ? (int)(batches_of(p) * chunks_of(p)) : p->pieces, part;
  struct cut_work w;
  w.product = p, w.in = in, w.out = out, w.failed = 0;
  if (p->threads > 1 && shares) {
    pthread_mutex_lock(turn);
    divide(is_softmax ? compute_rows : compute_piece, &w, parts);
    pthread_mutex_unlock(turn);
  } else
    for (part = 0; part < parts; part++) compute_rows(&w, part);
  return w.failed;
}

/** What `serve` is to compute now. */
static struct {
  const struct product *product;
  const void **in;
  void *out;
  int failed, has_server;
} job;

/**
 * Computes large products, one at a time on all cores. OpenMP keeps a team of threads for each thread that asks for
 * one: asked by all of XLA's, there would be as many as cores, squared.
 */
static void *serve(void *nothing) {
  pthread_mutex_lock(state);
  for (;;) {
    while (!job.product) pthread_cond_wait(wanted, state);
    pthread_mutex_unlock(state);
    job.failed = compute(job.product, job.in, job.out, threads);
    pthread_mutex_lock(state);
    job.product = 0;
    pthread_cond_signal(finished);
  }
  return nothing;
}

static int hand_over(const struct product *p, const void **in, void *out) {
  size_t server;
  int failed;
  pthread_mutex_lock(turn);
  pthread_mutex_lock(state);
  if (!job.has_server && !pthread_create(&server, 0, serve, 0)) {
    pthread_detach(server);
    job.has_server = 1;
  }
  if (job.has_server) {
    job.product = p, job.in = in, job.out = out;
    pthread_cond_signal(wanted);
    while (job.product) pthread_cond_wait(finished, state);
    failed = job.failed;
  } else
    failed = compute(p, in, out, threads);
  pthread_mutex_unlock(state);
  pthread_mutex_unlock(turn);
  return failed;
}

static void multiply(void *out, const void **in, const char *key, size_t length) {
  const struct product *p = product_of(key, length);
  int failed = p->pieces > 0 || p->way == rows_at_once ? by_parts(p, in, out)
               : p->way == slow_loops                  ? 1
               : p->threads == 1                       ? compute(p, in, out, 1)
                                                       : hand_over(p, in, out);
  if (failed) loops(p, in, out);
}

// XLA's foreign functions. Of each struct what lies before the last member that is read.
typedef struct { size_t size; void *next; int major, minor; } api_version_t;
typedef struct { const char *data; size_t length; } span_t;
typedef struct { size_t size; void *next; int element; void *data; } buffer_t;
typedef struct { size_t size; void *next; dim_t count; int *types; void **items; } list_t;
typedef struct { size_t size; void *next; dim_t count; int *types; span_t **names; void **items; } attributes_t;
typedef struct { size_t size; void *next; void *error; } error_t;
typedef struct { size_t size; api_version_t version; unsigned traits; dim_t state; } metadata_t;
typedef struct { size_t size; int type; void *next; metadata_t *metadata; } extension_t;
typedef struct { size_t size; void *next; span_t name, platform; void *instantiate, *prepare, *initialize, *execute; unsigned traits; } handler_t;
typedef struct {
  size_t size;
  void *next;
  api_version_t version;
  const void *internal;
  void *error_create, *error_message;
  void (*error_destroy)(error_t *);
  void *(*handler_register)(handler_t *);
} api_t;
typedef struct { size_t size; extension_t *next; const api_t *api; void *context; int stage; list_t in, out; attributes_t attributes; } frame_t;

enum { whole_number = 4 };

/** XLA's version of foreign functions. Some (0.1, TensorFlow 2.20) ask for metadata without giving their functions. */
static int major_version, minor_version;

/**
 * The target: its one attribute is the description. After the two operands comes what is added to their product; of what
 * comes then only a whole number at the end is read: where it is not 0, the program is run to be compiled and nobody reads
 * what it gives. Asked for its metadata it says that it is of XLA's own version.
 */
static void *handle(frame_t *frame) {
  const buffer_t *last;
  const void *in[most_in];
  const span_t *key;
  int i;
  if (frame->next && frame->next->type == 1) {
    frame->next->metadata->version.major = major_version;
    frame->next->metadata->version.minor = minor_version;
    frame->next->metadata->traits = 0;
    return 0;
  }
  last = frame->in.items[frame->in.count - 1];
  if (frame->in.count > 2 && last->element == whole_number && *(const int *)last->data) return 0;
  for (i = 0; i < most_in && i < frame->in.count; i++) in[i] = ((buffer_t *)frame->in.items[i])->data;
  key = frame->attributes.items[0];
  multiply(((buffer_t *)frame->out.items[0])->data, in, key->data, key->length);
  return 0;
}

/** Registers the target. Another JavaScript thread of this process may have: then that one serves. */
int enlist(const char *target, size_t length, const api_t *api) {
  handler_t handler = {sizeof handler, 0, {0, 0}, {"Host", 4}, 0, 0, 0, 0, 0};
  error_t error = {sizeof error, 0, 0};
  // TensorFlow 2.19 and before have fewer functions and other structs (64 or 88 bytes of this one), some without a version.
  if (api->size < 192 || api->version.major != 0) return 6;
  major_version = api->version.major, minor_version = api->version.minor;
  handler.name.data = target;
  handler.name.length = length;
  handler.execute = (void *)handle;
  error.error = api->handler_register(&handler);
  if (error.error) api->error_destroy(&error);
  return 0;
}

enum { as_program = 0, by_loops, by_widening };

/** Computes one product for tests: as a program would, by loops, or with bf16 widened whatever the processor has. */
void multiply_once(void *out, const void *left, const void *right, const void *added, const void *added_too,
                   const char *key, size_t length, int how) {
  const struct product *p = product_of(key, length);
  const void *in[most_in];
  in[0] = left, in[1] = right, in[2] = added, in[3] = added_too;
  if (how == as_program) multiply(out, in, key, length);
  else if (how == by_loops || !are_matrices(p) || p->added > 0 || p->has_softmax) loops(p, in, out);
  else {
    pthread_mutex_lock(turn);
    if (by_matrices(p, left, right, out, p->threads)) loops(p, in, out);
    pthread_mutex_unlock(turn);
  }
}

/** Whether this oneDNN adds as it multiplies: its number for what is added is of its version. Tried with a product of ones. */
static int can_add(void) {
  static struct product product;
  struct product *p = &product;
  unsigned short ones[256];
  float added[16], out[256];
  const void *in[most_in];
  int i;
  for (i = 0; i < 256; i++) ones[i] = 0x3f80;
  for (i = 0; i < 16; i++) added[i] = i - 20;
  p->type = bf16, p->out_type = f32, p->rank = 2, p->added = 1;
  p->left[0] = p->left[1] = p->right[0] = p->right[1] = p->out[0] = p->out[1] = 16;
  p->left_by[0] = p->right_by[0] = p->out_by[0] = 16;
  p->left_by[1] = p->right_by[1] = p->out_by[1] = p->added_by[0][1] = 1;
  in[0] = in[1] = ones, in[2] = added;
  set_threads(1);
  if (create(p) == no_code || perform(&p->object, in, out)) return 0;
  for (i = 0; i < 256; i++)
    if (out[i] != i % 16 - 4) return 0;
  return 1;
}

/*
 * A CUDA driver without a GPU, for tests: built from NVIDIA's own header, so that every function has the
 * parameters, structures and constants of the real one. It keeps device memory in that of the host, runs a few
 * kernels by their names, notes what it was told, and fails on request. It takes no handle that is not alive, and
 * no address outside of an allocation.
 */
#include <cuda.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is alive ---- */

enum Kind { CONTEXT, POOL, ALLOCATION, PINNED, STREAM, EVENT, MODULE, FUNCTION, GRAPH, EXECUTABLE, KINDS };
static const char *const kindNames[KINDS] = {
  "context", "pool", "allocation", "pinned", "stream", "event", "module", "function", "graph", "executable",
};

enum OperationKind { LAUNCH, SET, COPY };
typedef struct {
  enum OperationKind kind;
  char kernel[64];
  unsigned char parameters[512];
  size_t bytes;
  unsigned char value;
  void *to;
  const void *from;
} Operation;

typedef struct Object {
  enum Kind kind;
  struct Object *next;
  void *memory;
  size_t bytes;
  char *text;               /* of a module: its PTX; of a function: its name */
  struct Object *of;        /* of a function: its module; of a stream: the graph that it records */
  int questions;            /* until what was given has run */
  double time;              /* of an event, in milliseconds */
  int dynamicBytes, anyCluster;
  Operation *operations;
  size_t count;
} Object;

static Object *objects;
static Object *current;
static int retained;
static double now;
static CUresult fault;

static Object *create(enum Kind kind) {
  Object *object = calloc(1, sizeof *object);
  object->kind = kind;
  object->next = objects;
  objects = object;
  return object;
}

static Object *alive(const void *handle, enum Kind kind) {
  for (Object *each = objects; each; each = each->next)
    if (each == handle && each->kind == kind) return each;
  return NULL;
}

static void destroy(Object *object) {
  for (Object **at = &objects; *at; at = &(*at)->next)
    if (*at == object) {
      *at = object->next;
      break;
    }
  if (object->kind == MODULE)
    for (Object *each = objects, *next; each; each = next) {
      next = each->next;
      if (each->kind == FUNCTION && each->of == object) destroy(each);
    }
  free(object->memory);
  free(object->text);
  free(object->operations);
  free(object);
}

static Object *holding(const void *address, size_t bytes, enum Kind kind) {
  for (Object *each = objects; each; each = each->next) {
    const char *first = each->memory, *at = address;
    if (each->kind == kind && at >= first && at + bytes <= first + each->bytes) return each;
  }
  return NULL;
}

/* ---- What tests ask and say ---- */

static char noted[1 << 20];
static size_t notedBytes;
static char failing[64];
static CUresult failingCode;
static int failingAfter;
static int version = 13000, devices = 1, major = 9, minor = 0, pools = 1;

static void note(const char *format, ...) {
  va_list values;
  va_start(values, format);
  notedBytes += vsnprintf(noted + notedBytes, sizeof noted - notedBytes, format, values);
  va_end(values);
}

const char *stub_noted(void) { return noted; }

/* Whatever was given, and is from now on, is never done. */
static int isStalled;
void stub_stall(void) { isStalled = 1; }

/* The next call of the function, or one `after` more of them, gives the code. */
void stub_fail(const char *function, int code, int after) {
  snprintf(failing, sizeof failing, "%s", function);
  failingCode = code;
  failingAfter = after;
}

void stub_machine(int theVersion, int theDevices, int theMajor, int theMinor, int thePools) {
  version = theVersion, devices = theDevices, major = theMajor, minor = theMinor, pools = thePools;
}

/* What is alive, by kind: `stream 1, event 2`. */
const char *stub_alive(void) {
  static char text[512];
  int counts[KINDS] = {0}, length = 0;
  for (Object *each = objects; each; each = each->next) counts[each->kind]++;
  text[0] = 0;
  for (int kind = 0; kind < KINDS; kind++)
    if (counts[kind])
      length += snprintf(text + length, sizeof text - length, "%s%s %d", length ? ", " : "", kindNames[kind], counts[kind]);
  return text;
}

void stub_reset(void) {
  while (objects) destroy(objects);
  current = NULL, retained = 0, now = 0, fault = 0, notedBytes = 0, noted[0] = 0, failing[0] = 0;
  stub_machine(13000, 1, 9, 0, 1);
}

static CUresult begun(const char *function) {
  if (failing[0] && !strcmp(failing, function) && failingAfter-- == 0) {
    failing[0] = 0;
    return failingCode;
  }
  return CUDA_SUCCESS;
}

#define BEGIN(name)                              \
  do {                                           \
    CUresult code = begun(name);                 \
    if (code) return code;                       \
  } while (0)
#define NEED(condition, code) \
  do {                        \
    if (!(condition)) return code; \
  } while (0)
/* As BEGIN, of what needs a context that no kernel has broken. */
#define ENTER(name)                              \
  BEGIN(name);                                   \
  NEED(current, CUDA_ERROR_INVALID_CONTEXT);     \
  NEED(!fault, fault)

/* ---- The driver and its devices ---- */

CUresult CUDAAPI cuInit(unsigned int flags) {
  BEGIN("cuInit");
  return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuDriverGetVersion(int *result) {
  *result = version;
  return CUDA_SUCCESS;
}

static const struct { CUresult code; const char *name, *text; } errors[] = {
  {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
  {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
  {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
  {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
  {CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
  {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
  {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
  {CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
   "the provided PTX was compiled with an unsupported toolchain."},
  {CUDA_ERROR_ECC_UNCORRECTABLE, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
  {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
  {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
  {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
  {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
  {CUDA_ERROR_INVALID_CLUSTER_SIZE, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "cluster misconfiguration"},
  {CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
};

CUresult CUDAAPI cuGetErrorName(CUresult code, const char **text) {
  for (size_t at = 0; at < sizeof errors / sizeof *errors; at++)
    if (errors[at].code == code) return *text = errors[at].name, CUDA_SUCCESS;
  return *text = NULL, CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuGetErrorString(CUresult code, const char **text) {
  for (size_t at = 0; at < sizeof errors / sizeof *errors; at++)
    if (errors[at].code == code) return *text = errors[at].text, CUDA_SUCCESS;
  return *text = NULL, CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuDeviceGetCount(int *count) {
  BEGIN("cuDeviceGetCount");
  *count = devices;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceGet(CUdevice *device, int ordinal) {
  NEED(ordinal >= 0 && ordinal < devices, CUDA_ERROR_INVALID_DEVICE);
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceGetName(char *name, int length, CUdevice device) {
  snprintf(name, length, "Stub %d", device);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  NEED(device >= 0 && device < devices, CUDA_ERROR_INVALID_DEVICE);
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = major; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = minor; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = 232448; break;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: *value = 60 << 20; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: *value = pools; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDeviceTotalMem(size_t *bytes, CUdevice device) {
  NEED(device >= 0 && device < devices, CUDA_ERROR_INVALID_DEVICE);
  *bytes = (size_t)141 << 30;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  BEGIN("cuDevicePrimaryCtxRetain");
  NEED(device >= 0 && device < devices, CUDA_ERROR_INVALID_DEVICE);
  static Object *primary;
  if (!alive(primary, CONTEXT)) primary = create(CONTEXT);
  retained++;
  *context = (CUcontext)primary;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice device) {
  NEED(retained > 0, CUDA_ERROR_INVALID_CONTEXT);
  if (--retained == 0)
    for (Object *each = objects, *next; each; each = next) {
      next = each->next;
      if (each->kind == CONTEXT) destroy(each);
    }
  current = NULL;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) {
  NEED(alive(context, CONTEXT), CUDA_ERROR_INVALID_CONTEXT);
  current = (Object *)context;
  return CUDA_SUCCESS;
}

/* ---- Memory ---- */

CUresult CUDAAPI cuMemGetInfo(size_t *left, size_t *total) {
  *left = (size_t)3 << 30;
  *total = (size_t)141 << 30;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *properties) {
  ENTER("cuMemPoolCreate");
  NEED(properties->allocType == CU_MEM_ALLOCATION_TYPE_PINNED, CUDA_ERROR_INVALID_VALUE);
  NEED(properties->handleTypes == CU_MEM_HANDLE_TYPE_NONE, CUDA_ERROR_INVALID_VALUE);
  NEED(properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE, CUDA_ERROR_INVALID_VALUE);
  NEED(properties->location.id >= 0 && properties->location.id < devices, CUDA_ERROR_INVALID_DEVICE);
  NEED(!properties->win32SecurityAttributes && !properties->maxSize, CUDA_ERROR_INVALID_VALUE);
  for (size_t at = 0; at < sizeof properties->reserved; at++) NEED(!properties->reserved[at], CUDA_ERROR_INVALID_VALUE);
  note("pool of device %d, %zu bytes of properties\n", properties->location.id, sizeof *properties);
  *pool = (CUmemoryPool)create(POOL);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value) {
  NEED(alive(pool, POOL), CUDA_ERROR_INVALID_VALUE);
  NEED(attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, CUDA_ERROR_INVALID_VALUE);
  note("pool keeps %llu\n", (unsigned long long)*(cuuint64_t *)value);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemPoolDestroy(CUmemoryPool pool) {
  NEED(alive(pool, POOL), CUDA_ERROR_INVALID_VALUE);
  destroy((Object *)pool);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream) {
  ENTER("cuMemAllocFromPoolAsync");
  NEED(bytes > 0 && alive(pool, POOL) && alive(stream, STREAM), CUDA_ERROR_INVALID_VALUE);
  Object *allocation = create(ALLOCATION);
  allocation->bytes = bytes;
  allocation->memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  memset(allocation->memory, 0xcd, bytes);
  *address = (CUdeviceptr)allocation->memory;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
  NEED(alive(stream, STREAM), CUDA_ERROR_INVALID_HANDLE);
  for (Object *each = objects; each; each = each->next)
    if (each->kind == ALLOCATION && each->memory == (void *)address) return destroy(each), CUDA_SUCCESS;
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult CUDAAPI cuMemAllocHost(void **address, size_t bytes) {
  ENTER("cuMemAllocHost_v2");
  Object *pinned = create(PINNED);
  pinned->bytes = bytes;
  *address = pinned->memory = malloc(bytes);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemFreeHost(void *address) {
  for (Object *each = objects; each; each = each->next)
    if (each->kind == PINNED && each->memory == address) return destroy(each), CUDA_SUCCESS;
  return CUDA_ERROR_INVALID_VALUE;
}

/* ---- Work, in the order of its stream ---- */

static void run(const Operation *operation) {
  now += 1.5;
  switch (operation->kind) {
    case SET: memset(operation->to, operation->value, operation->bytes); break;
    case COPY: memmove(operation->to, operation->from, operation->bytes); break;
    case LAUNCH: {
      const unsigned char *at = operation->parameters;
      if (!strcmp(operation->kernel, "fill")) {
        uint32_t *to, count, value;
        memcpy(&to, at, 8), memcpy(&count, at + 8, 4), memcpy(&value, at + 12, 4);
        if (operation->bytes != 16 || !holding(to, 4 * (size_t)count, ALLOCATION)) fault = CUDA_ERROR_ILLEGAL_ADDRESS;
        else for (uint32_t each = 0; each < count; each++) to[each] = value;
      } else if (!strcmp(operation->kernel, "show_map")) {
        unsigned char *to;
        memcpy(&to, at + 128, 8);
        if (operation->bytes != 136 || !holding(to, 128, ALLOCATION)) fault = CUDA_ERROR_ILLEGAL_ADDRESS;
        else memcpy(to, at, 128);
      } else if (!strcmp(operation->kernel, "faulting")) {
        fault = CUDA_ERROR_ILLEGAL_ADDRESS;
      }
    }
  }
}

static CUresult give(CUstream handle, Operation operation) {
  Object *stream = alive(handle, STREAM);
  NEED(stream, CUDA_ERROR_INVALID_HANDLE);
  if (stream->of) {
    Object *graph = stream->of;
    graph->operations = realloc(graph->operations, (graph->count + 1) * sizeof operation);
    graph->operations[graph->count++] = operation;
  } else {
    stream->questions = 2;
    run(&operation);
  }
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  ENTER("cuMemsetD8Async");
  NEED(holding((void *)to, bytes, ALLOCATION), CUDA_ERROR_INVALID_VALUE);
  return give(stream, (Operation){.kind = SET, .to = (void *)to, .value = value, .bytes = bytes});
}

static CUresult copied(CUstream stream, void *to, enum Kind toKind, const void *from, enum Kind fromKind, size_t bytes) {
  NEED(holding(to, bytes, toKind) && holding(from, bytes, fromKind), CUDA_ERROR_INVALID_VALUE);
  return give(stream, (Operation){.kind = COPY, .to = to, .from = from, .bytes = bytes});
}

CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  ENTER("cuMemcpyHtoDAsync_v2");
  return copied(stream, (void *)to, ALLOCATION, from, PINNED, bytes);
}

CUresult CUDAAPI cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  ENTER("cuMemcpyDtoHAsync_v2");
  return copied(stream, to, PINNED, (void *)from, ALLOCATION, bytes);
}

CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  ENTER("cuMemcpyDtoDAsync_v2");
  return copied(stream, (void *)to, ALLOCATION, (void *)from, ALLOCATION, bytes);
}

CUresult CUDAAPI cuStreamCreate(CUstream *stream, unsigned int flags) {
  ENTER("cuStreamCreate");
  NEED(flags == CU_STREAM_NON_BLOCKING, CUDA_ERROR_INVALID_VALUE);
  *stream = (CUstream)create(STREAM);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuStreamDestroy(CUstream stream) {
  NEED(alive(stream, STREAM), CUDA_ERROR_INVALID_HANDLE);
  destroy((Object *)stream);
  return CUDA_SUCCESS;
}

static CUresult asked(Object *object) {
  NEED(object, CUDA_ERROR_INVALID_HANDLE);
  if (isStalled) return CUDA_ERROR_NOT_READY;
  if (object->questions > 0) return object->questions--, CUDA_ERROR_NOT_READY;
  return fault;
}

CUresult CUDAAPI cuStreamQuery(CUstream stream) {
  BEGIN("cuStreamQuery");
  return asked(alive(stream, STREAM));
}

CUresult CUDAAPI cuStreamSynchronize(CUstream stream) {
  NEED(alive(stream, STREAM), CUDA_ERROR_INVALID_HANDLE);
  return fault;
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
  ENTER("cuStreamWaitEvent");
  NEED(alive(stream, STREAM) && alive(event, EVENT) && flags == 0, CUDA_ERROR_INVALID_HANDLE);
  note("a stream waits for an event\n");
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuEventCreate(CUevent *event, unsigned int flags) {
  ENTER("cuEventCreate");
  NEED(flags == CU_EVENT_DEFAULT, CUDA_ERROR_INVALID_VALUE);
  *event = (CUevent)create(EVENT);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuEventRecord(CUevent handle, CUstream stream) {
  ENTER("cuEventRecord");
  Object *event = alive(handle, EVENT);
  NEED(event && alive(stream, STREAM), CUDA_ERROR_INVALID_HANDLE);
  event->questions = 2;
  event->time = now;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuEventQuery(CUevent event) {
  BEGIN("cuEventQuery");
  return asked(alive(event, EVENT));
}

CUresult CUDAAPI cuEventSynchronize(CUevent event) {
  NEED(alive(event, EVENT), CUDA_ERROR_INVALID_HANDLE);
  return fault;
}

/* The header of CUDA 13 means the second version by this name; what is used is the first. */
#undef cuEventElapsedTime
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
  Object *first = alive(start, EVENT), *last = alive(end, EVENT);
  NEED(first && last, CUDA_ERROR_INVALID_HANDLE);
  *milliseconds = (float)(last->time - first->time);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuEventDestroy(CUevent event) {
  NEED(alive(event, EVENT), CUDA_ERROR_INVALID_HANDLE);
  destroy((Object *)event);
  return CUDA_SUCCESS;
}

/* ---- Graphs ---- */

CUresult CUDAAPI cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
  ENTER("cuStreamBeginCapture_v2");
  Object *stream = alive(handle, STREAM);
  NEED(stream && !stream->of && mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, CUDA_ERROR_INVALID_VALUE);
  stream->of = create(GRAPH);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuStreamEndCapture(CUstream handle, CUgraph *graph) {
  Object *stream = alive(handle, STREAM);
  NEED(stream && stream->of, CUDA_ERROR_ILLEGAL_STATE);
  CUresult code = begun("cuStreamEndCapture");
  if (code) destroy(stream->of);
  *graph = code ? NULL : (CUgraph)stream->of;
  stream->of = NULL;
  return code;
}

CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph handle, unsigned long long flags) {
  ENTER("cuGraphInstantiateWithFlags");
  Object *graph = alive(handle, GRAPH);
  NEED(graph && flags == 0, CUDA_ERROR_INVALID_VALUE);
  Object *ready = create(EXECUTABLE);
  ready->count = graph->count;
  ready->operations = malloc((graph->count + 1) * sizeof(Operation));
  memcpy(ready->operations, graph->operations, graph->count * sizeof(Operation));
  *executable = (CUgraphExec)ready;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuGraphLaunch(CUgraphExec handle, CUstream stream) {
  ENTER("cuGraphLaunch");
  Object *ready = alive(handle, EXECUTABLE);
  NEED(ready, CUDA_ERROR_INVALID_HANDLE);
  note("a graph of %zu\n", ready->count);
  for (size_t at = 0; at < ready->count; at++) {
    CUresult code = give(stream, ready->operations[at]);
    if (code) return code;
  }
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec executable) {
  NEED(alive(executable, EXECUTABLE), CUDA_ERROR_INVALID_HANDLE);
  destroy((Object *)executable);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuGraphDestroy(CUgraph graph) {
  NEED(alive(graph, GRAPH), CUDA_ERROR_INVALID_HANDLE);
  destroy((Object *)graph);
  return CUDA_SUCCESS;
}

/* ---- Modules and launches ---- */

CUresult CUDAAPI cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int count, CUjit_option *options,
                                    void **values) {
  ENTER("cuModuleLoadDataEx");
  char *log = NULL;
  size_t room = 0;
  for (unsigned int at = 0; at < count; at++) {
    if (options[at] == CU_JIT_ERROR_LOG_BUFFER) log = values[at];
    else if (options[at] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) room = (size_t)values[at];
    else return CUDA_ERROR_INVALID_VALUE;
  }
  if (strstr(image, "nonsense")) {
    if (log) snprintf(log, room, "ptxas application ptx input, line 4; fatal   : Parsing error near 'nonsense'");
    return CUDA_ERROR_INVALID_PTX;
  }
  Object *object = create(MODULE);
  object->text = strdup(image);
  note("a module of %zu characters\n", strlen(image));
  *module = (CUmodule)object;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuModuleUnload(CUmodule module) {
  NEED(alive(module, MODULE), CUDA_ERROR_INVALID_HANDLE);
  destroy((Object *)module);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction *function, CUmodule handle, const char *name) {
  ENTER("cuModuleGetFunction");
  Object *module = alive(handle, MODULE);
  NEED(module, CUDA_ERROR_INVALID_HANDLE);
  char entry[128];
  snprintf(entry, sizeof entry, ".entry %s(", name);
  NEED(strstr(module->text, entry), CUDA_ERROR_NOT_FOUND);
  Object *object = create(FUNCTION);
  object->text = strdup(name);
  object->of = module;
  *function = (CUfunction)object;
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  ENTER("cuFuncSetAttribute");
  Object *function = alive(handle, FUNCTION);
  NEED(function, CUDA_ERROR_INVALID_HANDLE);
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: function->dynamicBytes = value; break;
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED: function->anyCluster = value; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  note("%s: attribute %d is %d\n", function->text, attribute, value);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction handle, void **pointers, void **extra) {
  ENTER("cuLaunchKernelEx");
  Object *function = alive(handle, FUNCTION);
  NEED(function && alive(config->hStream, STREAM), CUDA_ERROR_INVALID_HANDLE);
  NEED(!pointers && extra, CUDA_ERROR_INVALID_VALUE);
  Operation operation = {.kind = LAUNCH};
  const unsigned char *packed = NULL;
  size_t bytes = 0;
  for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
    if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) packed = extra[1];
    else if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *(size_t *)extra[1];
    else return CUDA_ERROR_INVALID_VALUE;
  }
  NEED(packed && bytes <= sizeof operation.parameters && (size_t)packed % 64 == 0, CUDA_ERROR_INVALID_VALUE);
  unsigned int threads = config->blockDimX * config->blockDimY * config->blockDimZ;
  NEED(threads > 0 && threads <= 1024, CUDA_ERROR_INVALID_VALUE);
  NEED(config->gridDimX && config->gridDimY && config->gridDimZ, CUDA_ERROR_INVALID_VALUE);
  NEED(config->sharedMemBytes <= 49152 || (int)config->sharedMemBytes <= function->dynamicBytes, CUDA_ERROR_INVALID_VALUE);
  note("%s<<<(%u, %u, %u), (%u, %u, %u), %u>>> %zu bytes", function->text, config->gridDimX, config->gridDimY,
       config->gridDimZ, config->blockDimX, config->blockDimY, config->blockDimZ, config->sharedMemBytes, bytes);
  for (unsigned int at = 0; at < config->numAttrs; at++) {
    const CUlaunchAttribute *attribute = &config->attrs[at];
    if (attribute->id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      unsigned int x = attribute->value.clusterDim.x, y = attribute->value.clusterDim.y, z = attribute->value.clusterDim.z;
      NEED(x && y && z && x * y * z <= (function->anyCluster ? 16 : 8), CUDA_ERROR_INVALID_CLUSTER_SIZE);
      note(", cluster (%u, %u, %u)", x, y, z);
    } else if (attribute->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
      note(", dependent %d", attribute->value.programmaticStreamSerializationAllowed);
    } else {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  note("\n");
  snprintf(operation.kernel, sizeof operation.kernel, "%s", function->text);
  memcpy(operation.parameters, packed, bytes);
  operation.bytes = bytes;
  return give(config->hStream, operation);
}

/* Instead of what the hardware reads: the arguments, one after another. */
CUresult CUDAAPI cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                        const cuuint64_t *shape, const cuuint64_t *strides, const cuuint32_t *box,
                                        const cuuint32_t *steps, CUtensorMapInterleave interleave,
                                        CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                        CUtensorMapFloatOOBfill fill) {
  ENTER("cuTensorMapEncodeTiled");
  NEED((size_t)map % 64 == 0 && (size_t)address % 16 == 0 && rank >= 1 && rank <= 5, CUDA_ERROR_INVALID_VALUE);
  note("a map of %zu bytes, type %d, (", sizeof *map, type);
  for (cuuint32_t axis = 0; axis < rank; axis++) {
    NEED(shape[axis] && box[axis] && box[axis] <= 256 && steps[axis] == 1, CUDA_ERROR_INVALID_VALUE);
    NEED(axis + 1 == rank || strides[axis] % 16 == 0, CUDA_ERROR_INVALID_VALUE);
    note("%s%llu by %u", axis ? ", " : "", (unsigned long long)shape[axis], box[axis]);
    if (axis + 1 < rank) note(" every %llu", (unsigned long long)strides[axis]);
  }
  NEED(interleave == CU_TENSOR_MAP_INTERLEAVE_NONE && fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE, CUDA_ERROR_INVALID_VALUE);
  note("), swizzle %d, promotion %d\n", swizzle, promotion);
  memset(map, 0x5a, sizeof *map);
  memcpy(map, &address, sizeof address);
  return CUDA_SUCCESS;
}

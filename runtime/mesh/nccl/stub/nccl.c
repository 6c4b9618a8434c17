/*
 * NCCL without a network or GPUs, for tests: ranks are processes of one machine, and what they exchange goes
 * through memory that they share. A call is done when it returns, so that all ranks must make theirs in one order;
 * but for one that waits for a rank longer than NCCL_STUB_PATIENCE milliseconds, which then goes on for ever on the
 * GPU of the stub of the driver. NCCL_STUB_ASYNC is the error of which that is told.
 * The declarations are those of nccl.h (version 2.18 and later), as far as they are used.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct { char internal[128]; } ncclUniqueId;
typedef enum { Success = 0, SystemError = 2, InvalidArgument = 4, InvalidUsage = 5, RemoteError = 6 } Result;
enum { INT8, UINT8, INT32, UINT32, FLOAT32 = 7 };
enum { SUM, MAX = 2, MIN = 3 };

/* What a rank has for each other, at most. */
#define ROOM (512 << 10)
#define MOST 4

typedef struct {
  atomic_int arrived, generation;
  char data[MOST][MOST][ROOM];
} Shared;

typedef struct {
  char name[64];
  Shared *shared;
  int rank, size, splits;
} *Comm;

typedef struct { int isSend, peer; size_t bytes; void *memory; Comm comm; } Message;
static Message messages[2 * MOST];
static int messageCount, depth;

static char failing[64];
static int failingCode, asyncError, version = 22703;

void stub_fail(const char *function, int code) {
  snprintf(failing, sizeof failing, "%s", function);
  failingCode = code;
}
void stub_async_error(int code) { asyncError = code; }
void stub_version(int theVersion) { version = theVersion; }

/* In another process than the test: by a variable, `function=code`. */
__attribute__((constructor)) static void readVariable(void) {
  const char *text = getenv("NCCL_STUB_FAIL");
  if (text && sscanf(text, "%63[^=]=%d", failing, &failingCode) != 2) failing[0] = 0;
}

/* A call waits for a rank that does not come. */
static int isStuck;

static void goOnForEver(void) {
  isStuck = 1;
  void *driver = dlopen(getenv("RICCI_CUDA_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
  void (*stall)(void) = driver ? (void (*)(void))dlsym(driver, "stub_stall") : NULL;
  if (stall) stall();
}

/* By rank, in a file that the test reads. */
static void noteAbort(int rank) {
  const char *name = getenv("NCCL_STUB_NOTES");
  FILE *file = name ? fopen(name, "a") : NULL;
  if (!file) return;
  fprintf(file, "rank %d aborts\n", rank);
  fclose(file);
}

static int failed(const char *function) {
  if (strcmp(failing, function)) return 0;
  failing[0] = 0;
  return failingCode;
}
#define BEGIN(name)                  \
  do {                               \
    int code = failed(name);         \
    if (code) return code;           \
  } while (0)

static void meet(Comm comm) {
  Shared *shared = comm->shared;
  if (isStuck) return;
  int generation = atomic_load(&shared->generation);
  if (atomic_fetch_add(&shared->arrived, 1) == comm->size - 1) {
    atomic_store(&shared->arrived, 0);
    atomic_fetch_add(&shared->generation, 1);
  } else {
    const char *text = getenv("NCCL_STUB_PATIENCE");
    long patience = text ? atol(text) * 1000 : -1;
    for (int turn = 0; atomic_load(&shared->generation) == generation; turn++)
      if (turn < 20) sched_yield();
      else if (patience >= 0 && (turn - 20) * 100L > patience) return goOnForEver();
      else usleep(100);
  }
}

static Comm joined(const char *name, int rank, int size) {
  int file = shm_open(name, O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, sizeof(Shared))) return NULL;
  Comm comm = calloc(1, sizeof *comm);
  comm->shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  snprintf(comm->name, sizeof comm->name, "%s", name);
  comm->rank = rank, comm->size = size;
  meet(comm);
  if (rank == 0) shm_unlink(name);
  return comm;
}

int ncclGetVersion(int *result) { return *result = version, Success; }

const char *ncclGetErrorString(int code) {
  switch (code) {
    case Success: return "no error";
    case SystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case InvalidArgument: return "invalid argument";
    case InvalidUsage: return "invalid usage";
    case RemoteError: return "remote process exited or there was a network error";
    default: return "unknown result code";
  }
}

const char *ncclGetLastError(Comm comm) { return "the stub was told to"; }

int ncclGetUniqueId(ncclUniqueId *id) {
  static int count;
  memset(id, 0x7f, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "/ricci-nccl-%d-%d", getpid(), count++);
  return Success;
}

int ncclCommInitRank(Comm *comm, int size, ncclUniqueId id, int rank) {
  BEGIN("ncclCommInitRank");
  /* By value, and whole. */
  if (id.internal[127] != 0x7f || rank < 0 || rank >= size || size > MOST) return InvalidArgument;
  *comm = joined(id.internal, rank, size);
  return *comm ? Success : SystemError;
}

int ncclCommSplit(Comm comm, int color, int key, Comm *part, void *config) {
  BEGIN("ncclCommSplit");
  if (config) return InvalidArgument;
  int own[2] = {color, key}, rank = 0, size = 0;
  memcpy(comm->shared->data[comm->rank][0], own, sizeof own);
  meet(comm);
  for (int other = 0; other < comm->size; other++) {
    int given[2];
    memcpy(given, comm->shared->data[other][0], sizeof given);
    if (given[0] != color) continue;
    size++;
    if (given[1] < key || (given[1] == key && other < comm->rank)) rank++;
  }
  char name[64];
  snprintf(name, sizeof name, "%.40s.%d.%d", comm->name, comm->splits++, color);
  meet(comm);
  *part = joined(name, rank, size);
  return *part ? Success : SystemError;
}

int ncclCommGetAsyncError(Comm comm, int *code) {
  const char *text = isStuck ? getenv("NCCL_STUB_ASYNC") : NULL;
  return *code = text ? atoi(text) : asyncError, Success;
}

int ncclCommDestroy(Comm comm) {
  munmap(comm->shared, sizeof(Shared));
  free(comm);
  return Success;
}
int ncclCommAbort(Comm comm) {
  noteAbort(comm->rank);
  return ncclCommDestroy(comm);
}

static size_t width(int type) { return type == INT8 || type == UINT8 ? 1 : 4; }

/* What all ranks have at their place 0 for all, in the order of the ranks. */
static int share(Comm comm, const void *from, size_t bytes) {
  if (bytes > ROOM) return InvalidArgument;
  memcpy(comm->shared->data[comm->rank][0], from, bytes);
  meet(comm);
  return Success;
}

#define COMBINE(type)                                                                                   \
  for (size_t at = 0; at < count; at++) {                                                               \
    type total = ((type *)comm->shared->data[0][0])[first + at];                                        \
    for (int rank = 1; rank < comm->size; rank++) {                                                     \
      type other = ((type *)comm->shared->data[rank][0])[first + at];                                   \
      total = operation == SUM ? total + other : operation == MAX ? (other > total ? other : total)     \
                                                                  : (other < total ? other : total);    \
    }                                                                                                   \
    ((type *)to)[at] = total;                                                                           \
  }

static int combine(Comm comm, void *to, size_t first, size_t count, int type, int operation) {
  if (operation != SUM && operation != MAX && operation != MIN) return InvalidArgument;
  switch (type) {
    case INT8: COMBINE(int8_t) break;
    case UINT8: COMBINE(uint8_t) break;
    case INT32: COMBINE(int32_t) break;
    case UINT32: COMBINE(uint32_t) break;
    case FLOAT32: COMBINE(float) break;
    default: return InvalidArgument;
  }
  meet(comm);
  return Success;
}

int ncclAllReduce(const void *from, void *to, size_t count, int type, int operation, Comm comm, void *stream) {
  BEGIN("ncclAllReduce");
  int code = share(comm, from, count * width(type));
  return code ? code : combine(comm, to, 0, count, type, operation);
}

int ncclReduceScatter(const void *from, void *to, size_t count, int type, int operation, Comm comm, void *stream) {
  int code = share(comm, from, count * comm->size * width(type));
  return code ? code : combine(comm, to, comm->rank * count, count, type, operation);
}

int ncclAllGather(const void *from, void *to, size_t count, int type, Comm comm, void *stream) {
  size_t bytes = count * width(type);
  int code = share(comm, from, bytes);
  if (code) return code;
  for (int rank = 0; rank < comm->size; rank++) memcpy((char *)to + rank * bytes, comm->shared->data[rank][0], bytes);
  meet(comm);
  return Success;
}

int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, Comm comm, void *stream) {
  size_t bytes = count * width(type);
  int code = share(comm, from, bytes);
  if (code) return code;
  memcpy(to, comm->shared->data[root][0], bytes);
  meet(comm);
  return Success;
}

static int message(int isSend, void *memory, size_t count, int type, int peer, Comm comm) {
  if (depth != 1 || peer < 0 || peer >= comm->size || count * width(type) > ROOM) return InvalidArgument;
  if (messageCount == 2 * MOST) return InvalidUsage;
  messages[messageCount++] = (Message){isSend, peer, count * width(type), memory, comm};
  return Success;
}
int ncclSend(void *from, size_t count, int type, int peer, Comm comm, void *stream) {
  return message(1, from, count, type, peer, comm);
}
int ncclRecv(void *to, size_t count, int type, int peer, Comm comm, void *stream) {
  return message(0, to, count, type, peer, comm);
}

int ncclGroupStart(void) { return depth++, Success; }

int ncclGroupEnd(void) {
  if (--depth > 0 || messageCount == 0) return Success;
  Comm comm = messages[0].comm;
  for (int at = 0; at < messageCount; at++)
    if (messages[at].isSend)
      memcpy(comm->shared->data[comm->rank][messages[at].peer], messages[at].memory, messages[at].bytes);
  meet(comm);
  for (int at = 0; at < messageCount; at++)
    if (!messages[at].isSend)
      memcpy(messages[at].memory, comm->shared->data[messages[at].peer][comm->rank], messages[at].bytes);
  messageCount = 0;
  meet(comm);
  return Success;
}

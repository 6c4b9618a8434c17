/*
 * The calls of rank.ts from C, in two ways: as they are there, non-blocking ones that are asked for until they
 * have completed, and blocking ones, as most programs make them. Prints `VERB BYTES WAY MICROSECONDS` of the
 * median.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD MPI_COMM_WORLD

enum { WAYS = 2, VERBS = 4, WARM_UPS = 5 };
static const char *ways[WAYS] = {"asked", "blocking"};
static const char *verbs[VERBS] = {"all_gather", "all_reduce", "reduce_scatter", "all_to_all"};

static int ascending(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return difference < 0 ? -1 : difference > 0;
}

static void block(int verb, float *send, float *receive, int count) {
  switch (verb) {
    case 0: MPI_Allgather(send, count, MPI_FLOAT, receive, count, MPI_FLOAT, WORLD); break;
    case 1: MPI_Allreduce(send, receive, count, MPI_FLOAT, MPI_SUM, WORLD); break;
    case 2: MPI_Reduce_scatter_block(send, receive, count, MPI_FLOAT, MPI_SUM, WORLD); break;
    case 3: MPI_Alltoall(send, count, MPI_FLOAT, receive, count, MPI_FLOAT, WORLD); break;
  }
}

static void ask(int verb, float *send, float *receive, int count) {
  MPI_Request request;
  int done = 0;
  switch (verb) {
    case 0: MPI_Iallgather(send, count, MPI_FLOAT, receive, count, MPI_FLOAT, WORLD, &request); break;
    case 1: MPI_Iallreduce(send, receive, count, MPI_FLOAT, MPI_SUM, WORLD, &request); break;
    case 2: MPI_Ireduce_scatter_block(send, receive, count, MPI_FLOAT, MPI_SUM, WORLD, &request); break;
    case 3: MPI_Ialltoall(send, count, MPI_FLOAT, receive, count, MPI_FLOAT, WORLD, &request); break;
  }
  while (!done) MPI_Testall(1, &request, &done, MPI_STATUSES_IGNORE);
}

int main(int count, char **arguments) {
  MPI_Init(&count, &arguments);
  int rank, ranks, repeats = atoi(arguments[1]);
  MPI_Comm_rank(WORLD, &rank);
  MPI_Comm_size(WORLD, &ranks);
  double *seconds = malloc(sizeof(double) * repeats);
  for (int argument = 2; argument < count; argument++) {
    int elements = atoi(arguments[argument]) / 4;
    size_t bytes = (size_t)elements * ranks * 4;
    float *send = malloc(bytes), *receive = malloc(bytes);
    memset(send, 1, bytes);
    memset(receive, 1, bytes);
    for (int verb = 0; verb < VERBS; verb++)
      for (int way = 0; way < WAYS; way++) {
        for (int repeat = -WARM_UPS; repeat < repeats; repeat++) {
          MPI_Barrier(WORLD);
          double start = MPI_Wtime();
          (way == 0 ? ask : block)(verb, send, receive, elements);
          if (repeat >= 0) seconds[repeat] = MPI_Wtime() - start;
        }
        qsort(seconds, repeats, sizeof(double), ascending);
        double microseconds = seconds[repeats / 2] * 1e6;
        if (rank == 0) printf("%s %d %s %.3f\n", verbs[verb], elements * 4, ways[way], microseconds);
      }
    free(send);
    free(receive);
  }
  MPI_Finalize();
}

/* The calls of rank.ts from C: blocking ones, as most programs make them. Prints the same lines. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int ascending(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return difference < 0 ? -1 : difference > 0;
}

static void call(int verb, float *send, float *receive, int count) {
  switch (verb) {
    case 0: MPI_Allgather(send, count, MPI_FLOAT, receive, count, MPI_FLOAT, MPI_COMM_WORLD); break;
    case 1: MPI_Allreduce(send, receive, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); break;
    case 2: MPI_Reduce_scatter_block(send, receive, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); break;
    case 3: MPI_Alltoall(send, count, MPI_FLOAT, receive, count, MPI_FLOAT, MPI_COMM_WORLD); break;
  }
}

int main(int count, char **arguments) {
  const char *verbs[] = {"all_gather", "all_reduce", "reduce_scatter", "all_to_all"};
  MPI_Init(&count, &arguments);
  int rank, ranks, repeats = atoi(arguments[1]);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  double *seconds = malloc(sizeof(double) * repeats);
  for (int argument = 2; argument < count; argument++) {
    int elements = atoi(arguments[argument]) / 4;
    float *send = calloc((size_t)elements * ranks, 4), *receive = calloc((size_t)elements * ranks, 4);
    for (int verb = 0; verb < 4; verb++) {
      for (int repeat = -5; repeat < repeats; repeat++) {
        MPI_Barrier(MPI_COMM_WORLD);
        double start = MPI_Wtime();
        call(verb, send, receive, elements);
        if (repeat >= 0) seconds[repeat] = MPI_Wtime() - start;
      }
      qsort(seconds, repeats, sizeof(double), ascending);
      if (rank == 0) printf("%s %d %.3f\n", verbs[verb], elements * 4, seconds[repeats / 2] * 1e6);
    }
    free(send);
    free(receive);
  }
  MPI_Finalize();
}

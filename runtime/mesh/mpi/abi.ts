/**
 * What the MPI standard left to each library until version 5: what handles are, and the values of constants.
 * From the headers: MPICH 4 (and those that keep its ABI: Intel MPI, MVAPICH, Cray), Open MPI 4 and 5, and
 * the standard ABI of MPI 5.
 */

/** The handles that are used here. */
export type Constant =
  | 'world'
  | 'errorsReturn'
  | 'byte'
  | 'float'
  | 'int8'
  | 'uint8'
  | 'int32'
  | 'uint32'
  | 'sum'
  | 'max'
  | 'min';

/** A handle as it is passed to C. */
export type Handle = number | bigint;

export interface Abi {
  readonly name: string;
  /** C type of handles. */
  readonly handle: 'int' | 'void *';
  /** A handle's value, or the variable of the library whose address it is. */
  readonly constants: { readonly [C in Constant]: Handle | string };
  /** MPI_STATUSES_IGNORE. */
  readonly statusesIgnore: bigint;
  /** MPI_THREAD_FUNNELED: only the main thread calls MPI. */
  readonly threadFunneled: number;
}

export type Family = 'mpich' | 'openMpi' | 'standard';

export const abis: { readonly [F in Family]: Abi } = {
  mpich: {
    name: 'MPICH',
    handle: 'int',
    constants: {
      world: 0x44000000,
      errorsReturn: 0x54000001,
      byte: 0x4c00010d,
      float: 0x4c00040a,
      int8: 0x4c000137,
      uint8: 0x4c00013b,
      int32: 0x4c000439,
      uint32: 0x4c00043d,
      sum: 0x58000003,
      max: 0x58000001,
      min: 0x58000002,
    },
    statusesIgnore: 1n,
    threadFunneled: 1,
  },
  openMpi: {
    name: 'Open MPI',
    handle: 'void *',
    constants: {
      world: 'ompi_mpi_comm_world',
      errorsReturn: 'ompi_mpi_errors_return',
      byte: 'ompi_mpi_byte',
      float: 'ompi_mpi_float',
      int8: 'ompi_mpi_int8_t',
      uint8: 'ompi_mpi_uint8_t',
      int32: 'ompi_mpi_int32_t',
      uint32: 'ompi_mpi_uint32_t',
      sum: 'ompi_mpi_op_sum',
      max: 'ompi_mpi_op_max',
      min: 'ompi_mpi_op_min',
    },
    statusesIgnore: 0n,
    threadFunneled: 1,
  },
  standard: {
    name: 'MPI (standard ABI)',
    handle: 'void *',
    constants: {
      world: 0x101n,
      errorsReturn: 0x143n,
      byte: 0x247n,
      float: 0x210n,
      int8: 0x240n,
      uint8: 0x241n,
      int32: 0x250n,
      uint32: 0x251n,
      sum: 0x21n,
      max: 0x23n,
      min: 0x22n,
    },
    statusesIgnore: 0n,
    threadFunneled: 1024,
  },
};

/** Finds libmpi, and makes its functions callable. */
import type { LibraryHandle } from 'koffi';
import { UserError } from '../../errors.ts';
import { type Abi, abis, type Constant, type Family, type Handle } from './abi.ts';
import type { Launcher } from './launcher.ts';

/** Parameters of the functions used here. All return an error code; 0 is success. */
const signatures = {
  MPI_Init_thread: ['void *', 'void *', 'int', 'void *'],
  MPI_Finalize: [],
  MPI_Comm_rank: ['handle', 'void *'],
  MPI_Comm_size: ['handle', 'void *'],
  MPI_Comm_set_errhandler: ['handle', 'handle'],
  MPI_Comm_split: ['handle', 'int', 'int', 'void *'],
  MPI_Error_string: ['int', 'void *', 'void *'],
  MPI_Bcast: ['void *', 'int', 'handle', 'int', 'handle'],
  MPI_Allgather: ['void *', 'int', 'handle', 'void *', 'int', 'handle', 'handle'],
  MPI_Iallgather: ['void *', 'int', 'handle', 'void *', 'int', 'handle', 'handle', 'void *'],
  MPI_Ialltoall: ['void *', 'int', 'handle', 'void *', 'int', 'handle', 'handle', 'void *'],
  MPI_Iallreduce: ['void *', 'void *', 'int', 'handle', 'handle', 'handle', 'void *'],
  MPI_Ireduce_scatter_block: ['void *', 'void *', 'int', 'handle', 'handle', 'handle', 'void *'],
  MPI_Ibcast: ['void *', 'int', 'handle', 'int', 'handle', 'void *'],
  MPI_Ibarrier: ['handle', 'void *'],
  MPI_Isend: ['void *', 'int', 'handle', 'int', 'int', 'handle', 'void *'],
  MPI_Irecv: ['void *', 'int', 'handle', 'int', 'int', 'handle', 'void *'],
  MPI_Testall: ['int', 'void *', 'void *', 'void *'],
} as const;

type Parameter = 'handle' | 'int' | 'void *';
type FunctionName = keyof typeof signatures;
/** Memory is passed as an array over it, or by its address. */
type Memory = Uint8Array | Int32Array | BigUint64Array | bigint | null;
type Value<P extends Parameter> = P extends 'handle' ? Handle : P extends 'int' ? number : Memory;
type Values<S extends readonly Parameter[]> = { readonly [I in keyof S]: Value<S[I]> };

export interface Mpi {
  readonly abi: Abi;
  /** For messages: `Open MPI (libmpi.so.40)`. */
  readonly name: string;
  readonly constants: { readonly [C in Constant]: Handle };
  /** @throws Error with the library's own words, when the function fails. */
  readonly call: <F extends FunctionName>(name: F, ...values: Values<(typeof signatures)[F]>) => void;
  /** An array of handles in C's layout, for functions that write some. */
  readonly handles: (count: number) => Int32Array | BigUint64Array;
  /** Lets another process have the core, if one waits for it. */
  readonly yieldCore: () => void;
  /** The address of an array's memory, which stays the same for as long as the array is referred to. */
  readonly address: (array: Exclude<Memory, bigint | null>) => bigint;
}

/** Names under which libraries are installed, with what each is. Intel's and Cray's keep MPICH's ABI. */
const libraries: readonly { readonly file: string; readonly family: Family }[] = [
  { file: 'libmpich.so.12', family: 'mpich' },
  { file: 'libmpi.so.12', family: 'mpich' },
  { file: 'libmpi_cray.so.12', family: 'mpich' },
  { file: 'libmpi.so.40', family: 'openMpi' },
  { file: 'libmpi_abi.so.1', family: 'standard' },
  { file: 'libmpi_abi.so.0', family: 'standard' },
];

/** The file of libmpi, when it is not to be searched for. */
const libraryVariable = 'RICCI_MPI_LIBRARY';

/**
 * For UCX, the transport of MPICH and others, unless the user has set them. It patches the allocator while
 * Node's other threads allocate: now and then a rank of MPICH 4.0 crashed in V8, on heap memory that was
 * unmapped. And it takes the signal of bad memory accesses, which V8 needs for WebAssembly.
 */
const transportSettings: { readonly [variable: string]: string } = {
  UCX_MEM_EVENTS: 'no',
  UCX_ERROR_SIGNALS: '',
};

/** Deep calls into MPI: its transports keep large buffers on the stack. */
const stackBytes = 4 * 2 ** 20;

/**
 * The library that the launcher works with is tried first.
 *
 * @throws UserError `no-device` when there is no MPI library, or the one chosen cannot be loaded.
 */
export async function loadMpi(launcher: Launcher | undefined, environment: NodeJS.ProcessEnv): Promise<Mpi> {
  const { default: koffi } = await import('koffi').catch((error: unknown) => {
    throw new UserError(
      'no-device',
      `C libraries cannot be called here: ${words(error)}`,
      'use a platform that koffi is built for',
    );
  });
  for (const [variable, value] of Object.entries(transportSettings)) process.env[variable] ??= value;
  koffi.config({ sync_stack_size: stackBytes, async_stack_size: stackBytes });
  const chosen = environment[libraryVariable];
  const files =
    chosen === undefined
      ? libraries
          .toSorted(
            (left, right) =>
              Number(right.family === launcher?.family) - Number(left.family === launcher?.family),
          )
          .map(({ file }) => file)
      : [chosen];
  const faults: string[] = [];
  for (const file of files) {
    try {
      // Open MPI loads plug-ins that look for its symbols among the global ones.
      const library = koffi.load(file, { global: true, lazy: true });
      return {
        ...bind(library, file),
        address: koffi.address,
        yieldCore: koffi.load(null).func('sched_yield', 'int', []),
      };
    } catch (error) {
      faults.push(`${file}: ${words(error)}`);
    }
  }
  throw chosen === undefined
    ? new UserError(
        'no-device',
        `no MPI library is installed (looked for ${files.join(', ')})`,
        `install MPICH or Open MPI, or name the file of libmpi in ${libraryVariable}`,
      )
    : new UserError(
        'no-device',
        `the MPI library chosen by ${libraryVariable} cannot be used: ${faults[0]}`,
        `name the file of libmpi, or unset ${libraryVariable}`,
      );
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function hasSymbol(library: LibraryHandle, name: string): boolean {
  try {
    library.symbol(name);
    return true;
  } catch {
    return false;
  }
}

function familyOf(library: LibraryHandle, file: string): Family {
  if (/mpi_abi/.test(file)) return 'standard';
  return hasSymbol(library, 'ompi_mpi_comm_world') ? 'openMpi' : 'mpich';
}

/** Small typed arrays made by their length lie where the garbage collector moves them; these do not. */
function buffer(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes);
}

function bind(library: LibraryHandle, file: string): Omit<Mpi, 'address' | 'yieldCore'> {
  const abi = abis[familyOf(library, file)];
  const functions: { readonly [name: string]: (...values: readonly unknown[]) => number } =
    Object.fromEntries(
      Object.entries(signatures).map(([name, parameters]) => {
        const types = parameters.map((type) => (type === 'handle' ? abi.handle : type));
        return [name, library.func(name, 'int', types)];
      }),
    );
  const constants = Object.fromEntries(
    Object.entries(abi.constants).map(([name, value]) => [
      name,
      typeof value === 'string' ? library.symbol(value) : value,
    ]),
  ) as Mpi['constants'];
  const explain = (code: number) => {
    const [text, length] = [new Uint8Array(8192), new Int32Array(1)];
    functions.MPI_Error_string!(code, text, length);
    return Buffer.from(text.subarray(0, length[0])).toString('latin1');
  };
  return {
    abi,
    name: `${abi.name} (${file})`,
    constants,
    call: (name, ...values) => {
      const code = functions[name]!(...values);
      if (code !== 0) throw new Error(`${name} failed: ${explain(code)}`);
    },
    handles: (count) =>
      abi.handle === 'int' ? new Int32Array(buffer(count * 4)) : new BigUint64Array(buffer(count * 8)),
  };
}

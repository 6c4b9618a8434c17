/** Finds NVIDIA's library of collectives, and makes its functions callable. */
import { UserError, type UserErrorCode } from '../../errors.ts';

/**
 * Parameters of the functions used here. All return an `ncclResult_t`; 0 is success. Communicators, streams
 * and addresses are `uint64_t`; an `ncclUniqueId` is 128 bytes, by value.
 */
const signatures = {
  ncclGetVersion: ['void *'],
  ncclGetUniqueId: ['void *'],
  ncclCommInitRank: ['void *', 'int', 'id', 'int'],
  ncclCommSplit: ['uint64_t', 'int', 'int', 'void *', 'void *'],
  ncclCommGetAsyncError: ['uint64_t', 'void *'],
  ncclCommAbort: ['uint64_t'],
  ncclCommDestroy: ['uint64_t'],
  ncclGroupStart: [],
  ncclGroupEnd: [],
  ncclSend: ['uint64_t', 'uint64_t', 'int', 'int', 'uint64_t', 'uint64_t'],
  ncclRecv: ['uint64_t', 'uint64_t', 'int', 'int', 'uint64_t', 'uint64_t'],
  ncclAllGather: ['uint64_t', 'uint64_t', 'uint64_t', 'int', 'uint64_t', 'uint64_t'],
  ncclAllReduce: ['uint64_t', 'uint64_t', 'uint64_t', 'int', 'int', 'uint64_t', 'uint64_t'],
  ncclReduceScatter: ['uint64_t', 'uint64_t', 'uint64_t', 'int', 'int', 'uint64_t', 'uint64_t'],
  ncclBroadcast: ['uint64_t', 'uint64_t', 'uint64_t', 'int', 'int', 'uint64_t', 'uint64_t'],
} as const;

type Parameter = 'int' | 'uint64_t' | 'void *' | 'id';
type Memory = Uint8Array | Int32Array | BigUint64Array | null;
type Value<P extends Parameter> = P extends 'uint64_t'
  ? bigint | number
  : P extends 'int'
    ? number
    : P extends 'id'
      ? UniqueId
      : Memory;
type Values<S extends readonly Parameter[]> = { readonly [I in keyof S]: Value<S[I]> };
export type NcclFunction = keyof typeof signatures;
type Arguments<F extends NcclFunction> = Values<(typeof signatures)[F]>;

/** What the ranks of a job find each other by. */
export type UniqueId = Uint8Array;
export const uniqueIdBytes = 128;

export interface Nccl {
  /** 22703 is 2.27.3. */
  readonly version: number;
  /** @throws UserError `device-lost` or `no-device`, or Error for a fault of this program */
  readonly call: <F extends NcclFunction>(name: F, ...values: Arguments<F>) => void;
  readonly code: <F extends NcclFunction>(name: F, ...values: Arguments<F>) => number;
  readonly failure: (name: NcclFunction, code: number) => Error;
}

/** The file of libnccl, when it is not to be searched for. */
const libraryVariable = 'RICCI_NCCL_LIBRARY';
const usualLibrary = 'libnccl.so.2';
/** The first with `ncclCommSplit`. */
const oldestVersion = 21_800;

interface Meaning {
  readonly name: string;
  /** Undefined: a fault of this program. */
  readonly code?: UserErrorCode;
  readonly help?: string;
}

const debugHelp = 'set NCCL_DEBUG=WARN to have NCCL say more of it, on the rank that failed first';

/** `ncclResult_t`. */
const meanings: { readonly [code: number]: Meaning } = {
  1: { name: 'ncclUnhandledCudaError', code: 'device-lost', help: debugHelp },
  2: {
    name: 'ncclSystemError',
    code: 'device-lost',
    help: `see that the machines reach each other (NCCL_SOCKET_IFNAME names the network); ${debugHelp}`,
  },
  3: { name: 'ncclInternalError', code: 'device-lost', help: debugHelp },
  4: { name: 'ncclInvalidArgument' },
  5: {
    name: 'ncclInvalidUsage',
    code: 'no-device',
    help: 'give each rank a GPU of its own: start as many on a machine as it has GPUs',
  },
  6: {
    name: 'ncclRemoteError',
    code: 'device-lost',
    help: 'see what the other ranks say: one of them failed first',
  },
  7: { name: 'ncclInProgress' },
};

/** @throws UserError `no-device` when there is no NCCL, or one that is too old */
export async function loadNccl(environment: NodeJS.ProcessEnv): Promise<Nccl> {
  const { default: koffi } = await import('koffi');
  const chosen = environment[libraryVariable];
  const id = koffi.struct({ internal: koffi.array('uint8_t', uniqueIdBytes) });
  type Foreign = (...values: readonly unknown[]) => number;
  const file = chosen ?? usualLibrary;
  const library = opened(() => koffi.load(file, { lazy: true }), file);
  const getVersion = opened(() => library.func('ncclGetVersion', 'int', ['void *']), file) as Foreign;
  const version = new Int32Array(1);
  getVersion(version);
  if (version[0]! < oldestVersion)
    throw new UserError(
      'no-device',
      `NCCL is too old: ${versionText(version[0]!)}, and ${versionText(oldestVersion)} is needed`,
      `install a newer one, or name the file of another in ${libraryVariable}`,
    );
  const functions = Object.fromEntries(
    Object.entries(signatures).map(([name, types]) => [
      name,
      library.func(
        name,
        'int',
        types.map((type) => (type === 'id' ? id : type)),
      ) as Foreign,
    ]),
  );
  const errorText = library.func('const char *ncclGetErrorString(int code)') as (code: number) => string;
  const lastError = library.func('const char *ncclGetLastError(uint64_t of)') as (of: number) => string;
  /** Structures are given as objects. */
  const asGiven = (name: NcclFunction, values: readonly unknown[]) =>
    values.map((value, place) =>
      (signatures[name][place] as Parameter) === 'id' ? { internal: value } : value,
    );
  const failure: Nccl['failure'] = (name, code) => {
    const { name: said, code: kind, help } = meanings[code] ?? { name: `NCCL error ${code}` };
    const last = lastError(0);
    const text = `${name} failed: ${said} (${errorText(code)})${last === '' ? '' : `: ${last.trim()}`}`;
    return kind === undefined || help === undefined ? new Error(text) : new UserError(kind, text, help);
  };
  const code: Nccl['code'] = (name, ...values) => functions[name]!(...asGiven(name, values));
  return {
    ...{ version: version[0]!, code, failure },
    call: (name, ...values) => {
      const result = code(name, ...values);
      if (result !== 0) throw failure(name, result);
    },
  };
}

function opened<T>(attempt: () => T, file: string): T {
  try {
    return attempt();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new UserError(
      'no-device',
      `NCCL cannot be used (${words.replace('Failed to load shared library', file)})`,
      `install NCCL (libnccl2, or the nvidia-nccl package of Python), and name its libnccl.so.2 in ${libraryVariable}`,
    );
  }
}

/** `2.27.3` */
function versionText(version: number): string {
  return `${Math.floor(version / 10_000)}.${Math.floor((version % 10_000) / 100)}.${version % 100}`;
}

/**
 * Between the memory of the host and the GPU, through pieces of pinned memory: the GPU copies one while the
 * next is filled, and nobody waits for a copy that is only asked for.
 */
import type { Cuda } from './library.ts';
import type { Owned } from './owned.ts';
import { type CudaEvent, type CudaStream, newEvent } from './streams.ts';

export interface Staging {
  /** The bytes are taken when it returns. */
  readonly write: (address: bigint, bytes: Uint8Array) => void;
  /** What is there after all that was given before, and before what is given from now on. */
  readonly read: (address: bigint, bytes: number) => Promise<Uint8Array>;
}

const pieceBytes = 8 * 2 ** 20;
/** Pieces that a write fills before it waits for the first of them, and that are kept after a read. */
const kept = 4;

interface Piece {
  readonly address: bigint;
  readonly memory: Uint8Array;
  /** Behind the copy that uses it. */
  readonly copied: CudaEvent;
  readonly giveBack: () => void;
}

export function newStaging(cuda: Cuda, stream: CudaStream, owned: Owned): Staging {
  const idle: Piece[] = [];
  /** The oldest first. */
  const written: Piece[] = [];

  const newPiece = (): Piece => {
    const address = new BigUint64Array(1);
    cuda.call('cuMemAllocHost_v2', address, pieceBytes);
    const free = owned.take(() => cuda.code('cuMemFreeHost', address[0]!));
    const copied = newEvent(cuda, owned);
    const giveBack = () => {
      copied.destroy();
      free();
    };
    return { address: address[0]!, memory: cuda.view(address[0]!, pieceBytes), copied, giveBack };
  };
  const toWrite = (): Piece => {
    if (written.length < kept) return idle.pop() ?? newPiece();
    const piece = written.shift()!;
    piece.copied.wait();
    return piece;
  };
  return {
    write(address, bytes) {
      for (let first = 0; first < bytes.byteLength; first += pieceBytes) {
        const piece = toWrite();
        const part = bytes.subarray(first, first + pieceBytes);
        piece.memory.set(part);
        const to = address + BigInt(first);
        cuda.call('cuMemcpyHtoDAsync_v2', to, piece.address, part.byteLength, stream.handle);
        piece.copied.record(stream);
        written.push(piece);
      }
    },
    read(address, bytes) {
      const pieces = Array.from({ length: Math.ceil(bytes / pieceBytes) }, (_, place) => {
        const piece = idle.pop() ?? newPiece();
        const first = place * pieceBytes;
        const size = Math.min(pieceBytes, bytes - first);
        cuda.call('cuMemcpyDtoHAsync_v2', piece.address, address + BigInt(first), size, stream.handle);
        piece.copied.record(stream);
        return { piece, first, size };
      });
      return collected(pieces, bytes);
    },
  };

  async function collected(
    pieces: readonly { readonly piece: Piece; readonly first: number; readonly size: number }[],
    bytes: number,
  ): Promise<Uint8Array> {
    const result = new Uint8Array(bytes);
    for (const { piece, first, size } of pieces) {
      await piece.copied.reached();
      result.set(piece.memory.subarray(0, size), first);
      if (idle.length < kept) idle.push(piece);
      else piece.giveBack();
    }
    return result;
  }
}

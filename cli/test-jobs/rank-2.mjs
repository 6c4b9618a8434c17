// The command as a rank of a job in which rank 2 does wrong: `mpiexec -n 4 node rank-2.mjs FAULT ARGUMENTS`, from
// mpi.test.ts.
import { globals } from 'webgpu';
import { runCommand } from '../../dist/cli/command.js';

const [fault, ...args] = process.argv.slice(2);
const rank = process.env.PMI_RANK ?? process.env.OMPI_COMM_WORLD_RANK;

const faults = {
  /** Where it would read what it sends in the second exchange. */
  'is killed': () => {
    const { mapAsync } = globals.GPUBuffer.prototype;
    let reads = 0;
    globals.GPUBuffer.prototype.mapAsync = function (...range) {
      reads++;
      if (reads === 2) process.kill(process.pid, 'SIGKILL');
      return mapAsync.apply(this, range);
    };
  },
  'has an option that there is not': () => {
    args.push('--bad');
  },
  'has options that do not go together': () => {
    args.push('--target', 'reference');
  },
  'has another mesh': () => {
    args[args.indexOf('--mesh') + 1] = 'tp=2';
  },
};
if (rank === '2') faults[fault]();
process.exitCode = await runCommand(args);

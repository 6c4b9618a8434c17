// The command as a rank of a job in which rank 2 does wrong: `mpiexec -n 4 node rank-2.mjs FAULT ARGUMENTS`, from
// mpi.test.ts.
import { runCommand } from '../../dist/cli/command.js';

const [fault, ...args] = process.argv.slice(2);
const rank = process.env.PMI_RANK ?? process.env.OMPI_COMM_WORLD_RANK;

const faults = {
  /** Between the first exchange and the second: kernels copy nothing, and their memory alone is shared. */
  'is killed': () => {
    const { subarray } = Uint8Array.prototype;
    let exchanges = 0;
    Uint8Array.prototype.subarray = function (...range) {
      if (this.buffer instanceof SharedArrayBuffer) exchanges++;
      // What is sent and what is received, of each.
      if (exchanges === 3) process.kill(process.pid, 'SIGKILL');
      return subarray.apply(this, range);
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

/**
 * Dawn in Node waits for the GPU by polling from `setImmediate`, which keeps one core busy for as long as
 * anything is awaited. A software adapter needs that core, and a laptop its battery.
 */

const napMilliseconds = 0.05;

/** Node shows every native function alike; a function written in JavaScript, or bound, shows otherwise. */
const nativeText = 'function () { [native code] }';

function isDawnPoll(callback: unknown): boolean {
  return (
    typeof callback === 'function' &&
    callback.name === '' &&
    Function.prototype.toString.call(callback) === nativeText
  );
}

let installed = false;

/**
 * Makes each of Dawn's polls sleep for 50 µs first. Dawn only polls while a promise of its is pending;
 * callbacks of anyone else run as before.
 */
export function calmPolling(): void {
  if (installed) return;
  installed = true;
  const original = globalThis.setImmediate;
  const neverNotified = new Int32Array(new SharedArrayBuffer(4));
  const calm = <Arguments extends unknown[]>(
    callback: (...values: Arguments) => void,
    ...values: Arguments
  ): NodeJS.Immediate => {
    if (!isDawnPoll(callback)) return original(callback, ...values);
    return original(() => {
      Atomics.wait(neverNotified, 0, 0, napMilliseconds);
      callback(...values);
    });
  };
  // `util.promisify(setImmediate)` finds its promise form in a symbol property.
  Object.defineProperties(calm, Object.getOwnPropertyDescriptors(original));
  globalThis.setImmediate = calm as typeof globalThis.setImmediate;
}

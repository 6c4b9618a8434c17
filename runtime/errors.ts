/** The errors of running: defined with the package, which the compiler writes and the runtime reads. */
export { isUserError, UserError, type UserErrorCode } from '../compiler/plan/user-error.ts';

/** The errors of running, in the shape of all errors that have no place in the source. */
export { isUserError, UserError, type UserErrorCode } from '../dsl/diagnostics/user-error.ts';

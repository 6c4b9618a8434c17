/**
 * Hears how far a stage of long work has come. Called often and at once; whoever listens chooses what to
 * show.
 */
export type Progress = (stage: string, done: number, total: number) => void;

export const silent: Progress = () => undefined;

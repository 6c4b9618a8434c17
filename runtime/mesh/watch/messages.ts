/**
 * What the watch says. A rank talks to its sentinel over Node's process channel; sentinels talk to the hub,
 * which is that of rank 0, over TCP, a JSON text a line.
 */
import type { Ending } from './endings.ts';
import type { Group, Step } from './ledger.ts';

/** What a rank reports to the hub. */
export type Report =
  | { readonly kind: 'group'; readonly group: Group }
  /** What it called since the last report, and what it now waits in. */
  | { readonly kind: 'steps'; readonly begun: readonly Step[]; readonly waiting: readonly Step[] }
  /** It has waited long. The hub answers with a notice, or ends the job when the wait is the `last`. */
  | { readonly kind: 'overdue'; readonly step: Step; readonly seconds: number; readonly last: boolean }
  | { readonly kind: 'abort'; readonly reason: string }
  | { readonly kind: 'ended'; readonly ending: Ending; readonly at: number }
  | { readonly kind: 'left' };

/** The first line of a sentinel's connection. */
export interface Hello {
  readonly token: string;
  readonly rank: number;
  readonly name: string;
}

/** What the hub answers to one rank, or tells all. */
export type Word =
  | { readonly kind: 'welcome' }
  | { readonly kind: 'notice'; readonly text: string }
  /** The job ends. */
  | { readonly kind: 'failed'; readonly text: string };

export interface Address {
  /** Names and addresses of the hub's host, to be tried in this order. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly token: string;
}

/** How long a rank waits in one call, in seconds. */
export interface Patience {
  /** Before it says for whom it waits. It says so again each time as much has passed. */
  readonly notice: number;
  /** Before it ends the job. */
  readonly last: number;
}

/** What a rank tells its sentinel. */
export type Order =
  /** To rank 0's: be the hub. `hosts` is empty where all ranks are on this host. */
  | {
      readonly kind: 'listen';
      readonly ranks: number;
      readonly hosts: readonly string[];
      readonly patience: Patience;
      readonly name: string;
    }
  | {
      readonly kind: 'join';
      readonly address: Address;
      readonly rank: number;
      readonly patience: Patience;
      readonly name: string;
    }
  | { readonly kind: 'report'; readonly report: Report };

/** What a sentinel tells its rank. */
export type Answer =
  | { readonly kind: 'listening'; readonly address: Address }
  | { readonly kind: 'joined' }
  /** The job ends; the sentinel has said why. */
  | { readonly kind: 'failed' };

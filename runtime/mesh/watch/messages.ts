/**
 * What the watch says. A rank reports to its sentinel over a pipe, and is told over Node's process channel;
 * sentinels talk to the hub, which is that of rank 0, over TCP. In all, a message is a JSON text on a line.
 */
import type { Ending } from './endings.ts';
import type { Group, Step } from './ledger.ts';

/** What a rank reports to both its sentinel and the hub. */
type CommonReport =
  | { readonly kind: 'group'; readonly group: Group }
  | { readonly kind: 'abort'; readonly reason: string }
  | { readonly kind: 'ended'; readonly ending: Ending; readonly at: number }
  | { readonly kind: 'left' };

/** What a rank reports to its sentinel. */
export type RankReport =
  | CommonReport
  /**
   * It calls a collective, and waits in it. Written before the call, so that it is known even if the call
   * crashes.
   */
  | { readonly kind: 'begin'; readonly step: Step }
  /** It waits in it no more. */
  | { readonly kind: 'pass'; readonly step: Step };

/** What a sentinel reports to the hub. */
export type Report =
  | CommonReport
  /** What its rank called since the last report. */
  | { readonly kind: 'steps'; readonly begun: readonly Step[] }
  /** The rank has waited long. The hub answers with a notice, or ends the job when the wait is the `last`. */
  | { readonly kind: 'overdue'; readonly step: Step; readonly seconds: number; readonly last: boolean };

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
  | {
      readonly kind: 'failed';
      readonly text: string;
      /** Ranks that need not say so; undefined: none. */
      readonly silent?: number | 'all';
    };

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

export interface SentinelOptions {
  readonly patience: Patience;
  /** What to call the rank, beside its number. */
  readonly name: string;
}

/** What a rank tells its sentinel to be. */
export type Order =
  /** Rank 0's: the hub. `hosts` is empty where all ranks are on this host. */
  | {
      readonly kind: 'listen';
      readonly ranks: number;
      readonly hosts: readonly string[];
      readonly options: SentinelOptions;
    }
  | {
      readonly kind: 'join';
      readonly address: Address;
      readonly rank: number;
      readonly options: SentinelOptions;
    };

/** What a sentinel tells its rank. */
export type Answer =
  | { readonly kind: 'listening'; readonly address: Address }
  | { readonly kind: 'joined' }
  /** The job ends; the sentinel has said why. */
  | { readonly kind: 'failed' };

/** File descriptors of a sentinel, beside the standard ones. */
export const descriptors = { channel: 3, reports: 4 };

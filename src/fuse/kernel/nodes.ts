/**
 * The node table: which inodes the kernel knows, by which node ids, and how often it was given each.
 *
 * A *node id* is the number that requests name a file by. It is the inode's number, but for an inode that had to become
 * another file for the kernel (`renew`): that one gets a number beyond 2^52, and shows the same `ino` to programs.
 *
 * A *lookup count* belongs to each node. Each reply that gives the kernel a node adds one (`count`), and the kernel takes
 * them away when it forgets the node. A node whose count is zero is unknown to the kernel, which never names it again; so
 * the table is as large as the kernel's own cache, and falls with it.
 */
import { ROOT_INO } from '../../vfs/operations.ts';

/** Node ids from here on are no inode numbers. */
export const FIRST_RENEWED = 2 ** 52;
/** Nodes that may be renewed in a millisecond: so no later mount of the store gives one of these numbers to another inode. */
const RENEWED_IN_MS = 1024;

interface Known {
  readonly ino: number;
  lookups: number;
}

export class Nodes {
  /** Lookup counts of nodes with the number of their inode. */
  readonly #lookups = new Map<number, number>();
  /** Nodes with a number of their own. */
  readonly #renewed = new Map<number, Known>();
  /** The node of each inode that was renewed, as long as the kernel knows one of its nodes. */
  readonly #nodes = new Map<number, number>();
  #next = FIRST_RENEWED + Date.now() * RENEWED_IN_MS;

  /** Nodes that the kernel knows, beside the root. */
  get size(): number {
    return this.#lookups.size + this.#renewed.size;
  }

  /** Tells whether the kernel knows an inode by any node. */
  knows(ino: number): boolean {
    return !this.nodesOf(ino).next().done;
  }

  /** The inode of a node, also of one that the kernel has not been given: a file handle may name it. */
  inodeOf(node: number): number {
    return node < FIRST_RENEWED ? node : (this.#renewed.get(node)?.ino ?? node);
  }

  /** The node that replies give for an inode from now on. */
  nodeOf(ino: number): number {
    return this.#nodes.get(ino) ?? ino;
  }

  /** Lists the nodes by which the kernel knows an inode. */
  *nodesOf(ino: number): Generator<number, void, undefined> {
    if (ino === ROOT_INO || this.#lookups.has(ino)) yield ino;
    // Few inodes are renewed.
    for (const [node, known] of this.#renewed) if (known.ino === ino && known.lookups > 0) yield node;
  }

  /** Notes that a reply gives the kernel the present node of an inode. Returns the node. */
  count(ino: number): number {
    const node = this.nodeOf(ino);
    if (node === ROOT_INO) return node;
    const renewed = this.#renewed.get(node);
    if (renewed !== undefined) renewed.lookups++;
    else this.#lookups.set(node, (this.#lookups.get(node) ?? 0) + 1);
    return node;
  }

  /** The kernel forgets a node `lookups` times. Returns the inode if the kernel knows it by no node any more. */
  forget(node: number, lookups: number): number | undefined {
    if (node === ROOT_INO) return undefined;
    const renewed = this.#renewed.get(node);
    const ino = renewed?.ino ?? node;
    const left = (renewed?.lookups ?? this.#lookups.get(node) ?? 0) - lookups;
    if (renewed !== undefined) renewed.lookups = Math.max(0, left);
    else if (left > 0) this.#lookups.set(node, left);
    else this.#lookups.delete(node);
    // The present node of a renewed inode stays, since replies will name it.
    if (renewed !== undefined && left <= 0 && this.nodeOf(ino) !== node) this.#renewed.delete(node);
    if (this.knows(ino)) return undefined;
    this.#renewed.delete(this.nodeOf(ino));
    this.#nodes.delete(ino);
    return ino;
  }

  /** Gives an inode another node: replies name it from now on, and the kernel takes it for another file. */
  renew(ino: number): number {
    const node = this.#next++;
    this.#nodes.set(ino, node);
    this.#renewed.set(node, { ino, lookups: 0 });
    return node;
  }
}

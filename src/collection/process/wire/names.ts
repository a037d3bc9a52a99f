/** The names in the folder of an index process. */
export const SOCKET = 'socket';
export const LOG = 'log';

/** The type bytes of rencode. */

export const FLOAT64 = 44;
export const LIST = 59;
export const DICT = 60;
export const DECIMAL = 61;
export const INT8 = 62;
export const INT16 = 63;
export const INT32 = 64;
export const INT64 = 65;
export const FLOAT32 = 66;
export const TRUE = 67;
export const FALSE = 68;
export const NONE = 69;
export const END = 127;
/** A range of type bytes: the first one stands for 0 (for negative integers: for -1), and there are `count`. */
export const POSITIVE = { first: 0, count: 44 };
export const NEGATIVE = { first: 70, count: 32 };
export const SHORT_DICT = { first: 102, count: 25 };
export const SHORT_STRING = { first: 128, count: 64 };
export const SHORT_LIST = { first: 192, count: 64 };

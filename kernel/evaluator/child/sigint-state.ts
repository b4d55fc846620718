// The words that sigint-hold.ts and its thread share: the states of the one number between them.

/** The thread is asked to begin; it has begun, and cannot be called back; it is called back before; its call is under way. */
export const HoldState = { asked: 0, entering: 1, cancelled: 2, held: 3 } as const;

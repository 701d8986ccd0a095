/** The tenant boundary. Times are milliseconds since the epoch everywhere in `core`. */
export interface App {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/**
 * Reads text/event-stream incrementally (WHATWG HTML, 9.2.6). Only `data` fields matter to us: comments
 * (": ping") and other fields are skipped. Input may be cut anywhere, also inside a line end.
 */
export class SseParser {
  private line = '';
  private data: string[] = [];
  private afterCarriageReturn = false;

  /** Returns the data of every event that `text` completes, in order. */
  push(text: string): string[] {
    const events: string[] = [];
    for (const piece of text.split(/(\r\n|\r|\n)/)) {
      if (piece === '') continue;
      if (piece === '\n' || piece === '\r' || piece === '\r\n') {
        const secondHalf = piece === '\n' && this.afterCarriageReturn;
        this.afterCarriageReturn = piece === '\r';
        if (!secondHalf) this.endLine(events);
      } else {
        this.afterCarriageReturn = false;
        this.line += piece;
      }
    }
    return events;
  }

  /** The stream is over: an event whose closing blank line was never sent still counts. */
  end(): string[] {
    const events: string[] = [];
    this.endLine(events);
    this.endLine(events);
    return events;
  }

  private endLine(events: string[]): void {
    const line = this.line;
    this.line = '';
    if (line === '') {
      if (this.data.length > 0) events.push(this.data.join('\n'));
      this.data = [];
      return;
    }
    const match = /^data(?:: ?(.*))?$/s.exec(line);
    if (match) this.data.push(match[1] ?? '');
  }
}

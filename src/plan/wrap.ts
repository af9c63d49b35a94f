import { visible } from '../policy/visible.ts'

/** Columns of the terminal for which reports are laid out. */
export const WIDTH = 100

/** Breaks text between words, and a word that is longer than a line wherever the line ends. */
export function wrap(text: string, indent: string): readonly string[] {
  const lines: string[] = []
  let line = indent
  for (const word of visible(text)
    .split(' ')
    .flatMap((each) => pieces(each, WIDTH - indent.length - 2))) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== '') {
      lines.push(line)
      line = `${indent}  `
    }
    line = line.trim() === '' ? `${line}${word}` : `${line} ${word}`
  }
  return [...lines, line]
}

function pieces(word: string, length: number): readonly string[] {
  return word.length <= length
    ? [word]
    : [word.slice(0, length), ...pieces(word.slice(length), length)]
}

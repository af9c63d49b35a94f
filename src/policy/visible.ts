// Controls, marks that reorder or hide text, line separators, and halves of surrogate pairs.
const UNSAFE = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\p{Cs}]/gu

/**
 * Writes characters that a terminal would act on, or that would hide what a text says, as escapes.
 * Everything of a file that is printed goes through here.
 */
export function visible(text: string): string {
  return text.replaceAll(UNSAFE, (character) => {
    const hex = (character.codePointAt(0) ?? 0).toString(16)
    return `\\u{${hex}}`
  })
}

// What was typed or pasted, as queries.

const LETTERS = /^[A-Za-z*.\-]+$/;
const SHORT = 12; // residues: what is shorter and one word may be a gene
export const MOST = 100; // queries of one FASTA text

// The queries of a text: {kind: "sequence" | "id" | "text", name, value}; says what is wrong with an Error.
export function read(text) {
  const typed = text.trim();
  if (!typed) return [];
  if (typed.startsWith(">")) return fasta(typed);
  const joined = typed.replace(/\s+/g, "");
  const words = typed.split(/\s+/);
  const lines = typed.split(/\n/).map((line) => line.trim());
  if (words.length === 1 && !(LETTERS.test(joined) && joined.length >= SHORT && !/[.\-]/.test(joined)))
    return [{ kind: "id", name: joined, value: joined }];
  const residues = joined.replace(/\d/g, ""); // numbered as GenBank has it
  const blocks = lines.length > 1 || words.every((word) => word === word.toUpperCase());
  if (words.length === 1 || (blocks && LETTERS.test(residues) && residues.length >= SHORT))
    return [{ kind: "sequence", name: "query", value: residues }];
  return [{ kind: "text", name: typed, value: words.join(" ") }];
}

function fasta(text) {
  const queries = text
    .split(/^>/m)
    .slice(1)
    .map((record, number) => {
      const [header, ...lines] = record.split(/\r?\n/);
      const name = header.trim().split(/\s+/)[0] || `query ${number + 1}`;
      return { kind: "sequence", name, value: lines.join("").replace(/\s+/g, "") };
    });
  const empty = queries.find((query) => !query.value);
  if (empty) throw new Error(`${empty.name}: there is no sequence after its header`);
  if (queries.length > MOST) throw new Error(`${queries.length} sequences: ${MOST} at most here; protvec search takes any number`);
  return queries;
}

// The same in words, for under the field.
export function describe(queries) {
  if (!queries.length) return "";
  if (queries.length > 1) return `${queries.length} sequences`;
  const [{ kind, value }] = queries;
  if (kind === "sequence") return `a sequence of ${value.length.toLocaleString("en")} residues`;
  return kind === "id" ? "an id, or a word" : "words of descriptions, genes and ids";
}

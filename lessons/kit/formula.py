"""LaTeX as a line of Unicode, for the terminal: \\frac{a}{b} is a/b, x^2 is x², \\sigma is σ."""

from __future__ import annotations

import re

__all__ = ["plain"]

_NAMES = r"""alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi varphi
    chi psi omega Gamma Delta Theta Lambda Pi Sigma Phi Psi Omega partial nabla sum prod int infty cdot times odot oplus
    otimes ast star pm mp le leq ge geq ne neq approx equiv sim propto in notin subset cup cap to rightarrow
    Rightarrow leftarrow leftrightarrow mapsto mid vert Vert | top ldots cdots dots forall exists langle rangle ell
    circ prime ll gg lfloor rfloor lceil rceil succ prec { } %"""
_SIGNS = """α β γ δ ε ε ζ η θ κ λ μ ν ξ π ρ σ τ φ φ
    χ ψ ω Γ Δ Θ Λ Π Σ Φ Ψ Ω ∂ ∇ Σ Π ∫ ∞ · × ⊙ ⊕
    ⊗ ∗ ⋆ ± ∓ ≤ ≤ ≥ ≥ ≠ ≠ ≈ ≡ ∼ ∝ ∈ ∉ ⊂ ∪ ∩ → →
    ⇒ ← ↔ ↦ | | ‖ ‖ ⊤ … ⋯ … ∀ ∃ ⟨ ⟩ ℓ
    ∘ ′ ≪ ≫ ⌊ ⌋ ⌈ ⌉ ≻ ≺ { } %"""
SYMBOLS = dict(zip(_NAMES.split(), _SIGNS.split(), strict=True)) | dict(zip(",;: ", "    "))
SYMBOLS |= {"!": "", "quad": "\u2003", "qquad": "\u2003\u2003"}
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "dot": "\u0307", "vec": "\u20d7", "overline": "\u0305"}
UP = dict(
    zip(
        "0123456789+−-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVW⊤∗′",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵀ*′",
        strict=True,
    )
)
DOWN = dict(zip("0123456789+−-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
LETTERS = {"mathbb": dict(zip("ERNZP", "𝔼ℝℕℤℙ")), "mathcal": dict(zip("NLDUO", "𝒩ℒ𝒟𝒰𝒪"))}
SKIPPED = {"left", "right", "bigl", "bigr", "Bigl", "Bigr", "big", "Big", "displaystyle", "textstyle", "limits"}

_TOKEN = re.compile(r"\\(?:[a-zA-Z]+|.)|\s+|.", re.S)


def plain(latex: str) -> str:
    """The formula in Unicode, on one line for each of its lines."""
    latex = re.sub(r"\\(begin|end)\{\w+\*?\}(\{[lcr]+\})?", "", latex).replace("&", "")
    lines = [re.sub(r"[ \n]+", " ", _Reader(line).all()).strip() for line in latex.split(r"\\")]
    return "\n".join(line for line in lines if line)


class _Reader:
    def __init__(self, text: str):
        self.tokens, self.at = _TOKEN.findall(text), 0

    def all(self, until: str | None = None) -> str:
        out = ""
        while self.at < len(self.tokens):
            if self.tokens[self.at] == until:
                self.at += 1
                break
            out += self.one(after=out)
        return out

    def one(self, after: str = "") -> str:
        """The next token with its arguments."""
        while self.at < len(self.tokens) and self.tokens[self.at].isspace() and not after:
            self.at += 1
        if self.at == len(self.tokens):
            return ""
        token = self.tokens[self.at]
        self.at += 1
        if token == "{":
            return self.all(until="}")
        if token in "^_":
            return _script(self.one(), UP if token == "^" else DOWN, token)
        if token == "-":
            return "−"
        if token == "'":
            return "′"
        if not token.startswith("\\"):
            return token
        name = token[1:]
        if name in ("frac", "tfrac", "dfrac"):
            above, below = self.one(), self.one()
            if (above, below) == ("1", "2"):
                return "½"
            return f"{_grouped(above)}/{_grouped(below)}"
        if name == "sqrt":
            root = "√"
            if self.tokens[self.at : self.at + 3] == ["[", "3", "]"]:
                root, self.at = "∛", self.at + 3
            inside = self.one().strip()
            return root + (inside if len(inside) == 1 else f"({inside})")
        if name in ACCENTS:
            return "".join(c + ACCENTS[name] for c in self.one())
        if name in LETTERS:
            return "".join(LETTERS[name].get(c, c) for c in self.one())
        if name in ("text", "mathrm", "mathbf", "boldsymbol", "operatorname", "textbf", "textit", "mathit", "mathtt"):
            return self.one()
        if name in ("underbrace", "overbrace"):
            return self.one()
        if name in SKIPPED:
            return ""
        symbol = SYMBOLS.get(name, name)
        if symbol.isalpha() and len(symbol) == 1 or symbol in "∂∇":
            while self.at < len(self.tokens) and self.tokens[self.at].isspace():
                self.at += 1
        return symbol


def _script(text: str, table: dict[str, str], sign: str) -> str:
    packed = text.replace(" ", "")
    if all(c in table for c in packed):
        return "".join(table[c] for c in packed)
    return sign + (packed if len(packed) == 1 else f"({text.strip()})")


def _grouped(text: str) -> str:
    text = text.strip()
    simple = re.fullmatch(r"[^\s+−·/=]*", text) and not re.search(r"[(\[]", text)
    return text if simple else f"({text})"

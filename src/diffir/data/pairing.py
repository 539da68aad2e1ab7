"""Pairing: match LQ to GT by folder and name."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from diffir.errors import DataError

from .folders import picture_files


def pair_files(
    gts: Sequence[Path], gt_root: Path, lq_root: Path, template: str = "{}"
) -> tuple[list[tuple[Path, Path]], dict[str, str]]:
    """Pairs of (GT, LQ) with equal folder and name, whatever their suffix, in the order of `gts`.

    If several share a name, those with equal suffixes are paired.

    Args:
        gts: pictures below `gt_root`.
        gt_root: their common folder.
        lq_root: the folder of LQ, with the same subfolders.
        template: the name of LQ, where `{}` is that of GT without its suffix, such as `{}x4`.

    Returns:
        The pairs, and by name a sentence for each picture of either side without a partner.

    Raises:
        DataError: when the template has no `{}`, or `lq_root` is missing or has no picture.
    """
    if template.count("{}") != 1:
        raise DataError(f"LQ name {template!r} found; it must contain {{}} once, such as {{}}x4")
    lqs: dict[Path, list[Path]] = {}
    for lq in picture_files([lq_root]):
        lqs.setdefault(lq.relative_to(lq_root).with_suffix(""), []).append(lq)
    namesakes = Counter(gt.with_suffix("") for gt in gts)
    pairs, alone = [], {}
    for gt in gts:
        place = gt.relative_to(gt_root)
        wanted = place.with_name(template.replace("{}", place.stem))
        there = lqs.get(wanted, [])
        if len(there) > 1 or namesakes[gt.with_suffix("")] > 1:
            there = [lq for lq in there if lq.suffix.lower() == gt.suffix.lower()]
        if len(there) == 1:
            pairs.append((gt, there[0]))
            lqs[wanted].remove(there[0])
        else:
            alone[str(gt)] = f"{gt} has no LQ; add {lq_root / wanted} with any suffix"
    for lq in (lq for left in lqs.values() for lq in left):
        alone[str(lq)] = f"{lq} has no GT below {gt_root}; add it, or remove this one"
    return pairs, alone

"""Print the sum of JUnit reports as the last line of a run: tally.py FOLDER ALREADY_FAILED"""
import pathlib
import sys
import xml.etree.ElementTree


def main(folder, failed):
    passed = skipped = 0
    for report in sorted(pathlib.Path(folder).glob("*.xml")):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            outcomes = {child.tag for child in case}
            if outcomes & {"failure", "error"}:
                failed += 1
                print(f"failed: {report.stem}: {case.get('classname')} {case.get('name')}")
            elif "skipped" in outcomes:
                skipped += 1
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

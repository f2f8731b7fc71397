import subprocess
import sys


def test_reading_photos_imports_no_library_that_few_photos_need():
    slow = {"cv2", "jpeglib", "tifffile", "PIL.ImageCms", "torch"}
    code = f"import sys, inpaint_cli.images; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program of a JavaScript module: QuickJS, one script that is linked in, and what the script may call.
 *
 * Runs under wasm32-wasi. Ends with 0, with what exit() was given, or with 1 after an exception that nobody caught,
 * which goes to stderr with its stack. sel4_bridge/javascript/__init__.py lists what scripts have.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quickjs.h>

extern char **environ;
extern const char script_text[]; /* NUL-terminated */
extern const unsigned long script_size; /* bytes without the NUL */

enum { STACK_LIMIT = SHELL_STACK / 2, FILE_MAX = 4 << 20 };

static JSValue write_line(JSContext *context, int argc, JSValueConst *argv, FILE *out)
{
    for (int i = 0; i < argc; i++) {
        size_t size;
        const char *text = JS_ToCStringLen(context, &size, argv[i]);
        if (text == NULL) {
            return JS_EXCEPTION;
        }
        if (i > 0) {
            putc(' ', out);
        }
        (void)fwrite(text, 1, size, out); /* a script is not told, as console.log has no result */
        JS_FreeCString(context, text);
    }
    putc('\n', out);
    fflush(out);
    return JS_UNDEFINED;
}

static JSValue print(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    return write_line(context, argc, argv, stdout);
}

static JSValue print_error(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    return write_line(context, argc, argv, stderr);
}

static JSValue end(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    int32_t code = 0;
    if (argc > 0 && JS_ToInt32(context, &code, argv[0]) != 0) {
        return JS_EXCEPTION;
    }
    exit(code);
}

static JSValue read_file(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    const char *path = argc > 0 ? JS_ToCString(context, argv[0]) : NULL;
    if (path == NULL) {
        return argc > 0 ? JS_EXCEPTION : JS_ThrowTypeError(context, "readFile: a path is needed");
    }
    JSValue result;
    FILE *file = fopen(path, "rb");
    char *text = file != NULL ? malloc(FILE_MAX) : NULL;
    size_t size = text != NULL ? fread(text, 1, FILE_MAX, file) : 0;
    if (file == NULL || text == NULL || ferror(file)) {
        result = JS_ThrowInternalError(context, "readFile: %s: cannot be read", path);
    } else if (size == FILE_MAX) {
        result = JS_ThrowRangeError(context, "readFile: %s: larger than %d bytes", path, FILE_MAX - 1);
    } else {
        result = JS_NewStringLen(context, text, size);
    }
    free(text);
    if (file != NULL) {
        fclose(file);
    }
    JS_FreeCString(context, path);
    return result;
}

static JSValue write_file(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    if (argc < 2) {
        return JS_ThrowTypeError(context, "writeFile: a path and a text are needed");
    }
    size_t size;
    const char *path = JS_ToCString(context, argv[0]);
    const char *text = path != NULL ? JS_ToCStringLen(context, &size, argv[1]) : NULL;
    JSValue result = JS_EXCEPTION;
    if (text != NULL) {
        FILE *file = fopen(path, "wb");
        bool written = file != NULL && fwrite(text, 1, size, file) == size;
        written = file != NULL && fclose(file) == 0 && written;
        result = written ? JS_UNDEFINED : JS_ThrowInternalError(context, "writeFile: %s: cannot be written", path);
    }
    JS_FreeCString(context, text);
    JS_FreeCString(context, path);
    return result;
}

static void set_function(JSContext *context, JSValueConst object, const char *name, JSCFunction *function, int length)
{
    JS_SetPropertyStr(context, object, name, JS_NewCFunction(context, function, name, length));
}

static void set_globals(JSContext *context, int argc, char **argv)
{
    JSValue global = JS_GetGlobalObject(context);
    JSValue console = JS_NewObject(context);
    set_function(context, console, "log", print, 1);
    set_function(context, console, "error", print_error, 1);
    JS_SetPropertyStr(context, global, "console", console);
    set_function(context, global, "print", print, 1);
    set_function(context, global, "exit", end, 1);
    set_function(context, global, "readFile", read_file, 1);
    set_function(context, global, "writeFile", write_file, 2);
    JSValue arguments = JS_NewArray(context);
    for (int i = 0; i < argc; i++) {
        JS_SetPropertyUint32(context, arguments, (uint32_t)i, JS_NewString(context, argv[i]));
    }
    JS_SetPropertyStr(context, global, "scriptArgs", arguments);
    JSValue environment = JS_NewObject(context);
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        const char *equals = strchr(*variable, '=');
        if (equals != NULL) {
            JSAtom name = JS_NewAtomLen(context, *variable, (size_t)(equals - *variable));
            JS_SetProperty(context, environment, name, JS_NewString(context, equals + 1));
            JS_FreeAtom(context, name);
        }
    }
    JS_SetPropertyStr(context, global, "environment", environment);
    JS_FreeValue(context, global);
}

/* What was thrown, and where, to stderr. */
static int report(JSContext *context)
{
    JSValue thrown = JS_GetException(context);
    const char *text = JS_ToCString(context, thrown);
    fprintf(stderr, "%s\n", text != NULL ? text : "an exception without a text");
    JS_FreeCString(context, text);
    JSValue stack = JS_IsError(context, thrown) ? JS_GetPropertyStr(context, thrown, "stack") : JS_UNDEFINED;
    if (JS_IsString(stack)) {
        const char *lines = JS_ToCString(context, stack);
        fputs(lines != NULL ? lines : "", stderr);
        JS_FreeCString(context, lines);
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *context = runtime != NULL ? JS_NewContext(runtime) : NULL;
    if (context == NULL) {
        fputs("no memory for the JavaScript interpreter\n", stderr);
        return EXIT_FAILURE;
    }
    JS_SetMaxStackSize(runtime, STACK_LIMIT);
    set_globals(context, argc, argv);
    JSValue result = JS_Eval(context, script_text, script_size, "main.js", JS_EVAL_TYPE_GLOBAL);
    if (JS_IsException(result)) {
        return report(context);
    }
    for (;;) { /* promises; each turn runs one job, and a script that never runs out of them is its own affair */
        JSContext *failed;
        int ran = JS_ExecutePendingJob(runtime, &failed);
        if (ran < 0) {
            return report(failed);
        }
        if (ran == 0) {
            return EXIT_SUCCESS;
        }
    }
}
